#include "sql/calls.h"

#include <pg_query.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

namespace tenantctl::sql {
namespace {

// Owns what pg_query_parse returns by value: the tree as JSON text.
class ParseResult {
 public:
  explicit ParseResult(const char* text) : result_(pg_query_parse(text)) {}
  ~ParseResult() { pg_query_free_parse_result(result_); }

  ParseResult(const ParseResult&) = delete;
  ParseResult& operator=(const ParseResult&) = delete;

  bool failed() const { return result_.error != nullptr; }
  std::string_view tree() const { return result_.parse_tree; }

 private:
  PgQueryParseResult result_;
};

// Built in, and without effect on the session. Sorted (bytes), for the search.
constexpr std::array<std::string_view, 153> harmless{"abs",
                                                     "age",
                                                     "array_agg",
                                                     "array_append",
                                                     "array_cat",
                                                     "array_length",
                                                     "array_position",
                                                     "array_prepend",
                                                     "array_remove",
                                                     "array_replace",
                                                     "array_to_string",
                                                     "ascii",
                                                     "avg",
                                                     "bool_and",
                                                     "bool_or",
                                                     "btrim",
                                                     "cardinality",
                                                     "ceil",
                                                     "ceiling",
                                                     "char_length",
                                                     "chr",
                                                     "clock_timestamp",
                                                     "concat",
                                                     "concat_ws",
                                                     "convert_from",
                                                     "convert_to",
                                                     "count",
                                                     "current_database",
                                                     "current_schema",
                                                     "current_setting",
                                                     "currval",
                                                     "date_bin",
                                                     "date_part",
                                                     "date_trunc",
                                                     "decode",
                                                     "dense_rank",
                                                     "encode",
                                                     "every",
                                                     "exp",
                                                     "extract",
                                                     "first_value",
                                                     "floor",
                                                     "format",
                                                     "format_type",
                                                     "gen_random_uuid",
                                                     "generate_series",
                                                     "initcap",
                                                     "int4range",
                                                     "int8range",
                                                     "json_agg",
                                                     "json_array_elements",
                                                     "json_array_elements_text",
                                                     "json_build_array",
                                                     "json_build_object",
                                                     "json_each",
                                                     "json_each_text",
                                                     "json_object_agg",
                                                     "jsonb_agg",
                                                     "jsonb_array_elements",
                                                     "jsonb_array_elements_text",
                                                     "jsonb_array_length",
                                                     "jsonb_build_array",
                                                     "jsonb_build_object",
                                                     "jsonb_each",
                                                     "jsonb_each_text",
                                                     "jsonb_extract_path",
                                                     "jsonb_extract_path_text",
                                                     "jsonb_insert",
                                                     "jsonb_object_agg",
                                                     "jsonb_object_keys",
                                                     "jsonb_set",
                                                     "jsonb_strip_nulls",
                                                     "jsonb_typeof",
                                                     "lag",
                                                     "last_value",
                                                     "lead",
                                                     "left",
                                                     "length",
                                                     "like_escape",
                                                     "ln",
                                                     "log",
                                                     "lower",
                                                     "lpad",
                                                     "ltrim",
                                                     "make_date",
                                                     "make_interval",
                                                     "make_time",
                                                     "make_timestamp",
                                                     "make_timestamptz",
                                                     "max",
                                                     "md5",
                                                     "min",
                                                     "mod",
                                                     "nextval",
                                                     "now",
                                                     "ntile",
                                                     "num_nonnulls",
                                                     "num_nulls",
                                                     "numrange",
                                                     "octet_length",
                                                     "overlay",
                                                     "percent_rank",
                                                     "percentile_cont",
                                                     "percentile_disc",
                                                     "pg_get_serial_sequence",
                                                     "position",
                                                     "power",
                                                     "quote_ident",
                                                     "quote_literal",
                                                     "random",
                                                     "rank",
                                                     "regexp_match",
                                                     "regexp_matches",
                                                     "regexp_replace",
                                                     "regexp_split_to_array",
                                                     "regexp_split_to_table",
                                                     "repeat",
                                                     "replace",
                                                     "reverse",
                                                     "right",
                                                     "round",
                                                     "row_number",
                                                     "row_to_json",
                                                     "rpad",
                                                     "rtrim",
                                                     "setval",
                                                     "setweight",
                                                     "sha256",
                                                     "sign",
                                                     "similar_to_escape",
                                                     "split_part",
                                                     "sqrt",
                                                     "statement_timestamp",
                                                     "string_agg",
                                                     "string_to_array",
                                                     "strpos",
                                                     "substr",
                                                     "substring",
                                                     "sum",
                                                     "timezone",
                                                     "to_char",
                                                     "to_date",
                                                     "to_json",
                                                     "to_jsonb",
                                                     "to_number",
                                                     "to_regclass",
                                                     "to_timestamp",
                                                     "to_tsvector",
                                                     "transaction_timestamp",
                                                     "translate",
                                                     "trunc",
                                                     "unnest",
                                                     "upper"};
static_assert(std::ranges::is_sorted(harmless));

bool is_harmless(const std::vector<std::string_view>& name) {
  const bool qualified = name.size() == 2 && name.front() == "pg_catalog";
  return (qualified || name.size() == 1) && std::ranges::binary_search(harmless, name.back());
}

}  // namespace

// The tree is searched as text: inside its strings a quote stands behind a backslash, so that the
// key below is nothing else. A name with a backslash is cut short there, and is not harmless.
bool calls_unknown(const std::string& parseable) {
  const ParseResult result(parseable.c_str());
  if (result.failed()) {
    return true;
  }
  constexpr std::string_view call = R"("FuncCall":{"funcname":[)";
  constexpr std::string_view part = R"("sval":")";
  const std::string_view tree = result.tree();
  for (std::size_t at = tree.find(call); at != std::string_view::npos; at = tree.find(call, at)) {
    at += call.size();
    const std::size_t end = tree.find(']', at);
    std::vector<std::string_view> name;
    for (std::size_t word = tree.find(part, at); word < end; word = tree.find(part, word)) {
      word += part.size();
      name.push_back(tree.substr(word, tree.find('"', word) - word));
    }
    if (name.empty() || !is_harmless(name)) {
      return true;
    }
  }
  return false;
}

}  // namespace tenantctl::sql
