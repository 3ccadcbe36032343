#include "tenant/stored_texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/text.h"

namespace tenantctl {
namespace {

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

std::string escaped_pattern(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    if (!is_word(c)) {
      pattern += '\\';
    }
    pattern += c;
  }
  return pattern;
}

// A name that needs no quotation marks is found in any case, since SQL folds it.
bool folds(std::string_view name) {
  return std::ranges::all_of(name, [](char c) { return is_word(c) && !(c >= 'A' && c <= 'Z'); });
}

std::string function_texts(const TextSearch& search) {
  std::string sql =
      "SELECT 'function' AS kind, p.oid::regprocedure::text AS name, "
      "concat_ws(' ', p.prosrc, array_to_string(p.proconfig, ' ')) AS text "
      "FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace "
      "WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'tenantctl') "
      "UNION ALL SELECT 'function', p.oid::regprocedure::text, pg_get_expr(p.proargdefaults, 0) "
      "FROM pg_proc p JOIN home h ON h.oid = p.pronamespace WHERE p.proargdefaults IS NOT NULL";
  constexpr int first_with_bodies = 140000;
  if (search.server_version >= first_with_bodies) {
    sql +=
        " UNION ALL SELECT 'function', p.oid::regprocedure::text, pg_get_function_sqlbody(p.oid) "
        "FROM pg_proc p JOIN home h ON h.oid = p.pronamespace WHERE p.prosqlbody IS NOT NULL";
  }
  return sql;
}

constexpr std::string_view object_texts =
    "SELECT 'view', c.oid::regclass::text, pg_get_viewdef(c.oid) FROM pg_class c "
    "JOIN home h ON h.oid = c.relnamespace WHERE c.relkind IN ('v', 'm') "
    "UNION ALL SELECT 'default', c.oid::regclass::text || '.' || quote_ident(a.attname), "
    "pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid "
    "JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum "
    "JOIN home h ON h.oid = c.relnamespace "
    "UNION ALL SELECT 'constraint', CASE WHEN k.conrelid = 0 THEN k.contypid::regtype::text "
    "ELSE k.conrelid::regclass::text END || '.' || quote_ident(k.conname), "
    "pg_get_expr(k.conbin, k.conrelid) FROM pg_constraint k "
    "JOIN home h ON h.oid = k.connamespace WHERE k.conbin IS NOT NULL "
    "UNION ALL SELECT 'index', i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) "
    "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
    "JOIN home h ON h.oid = c.relnamespace "
    "WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL "
    "UNION ALL SELECT 'policy', c.oid::regclass::text || '.' || quote_ident(p.polname), "
    "concat_ws(' ', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) "
    "FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN home h ON h.oid = c.relnamespace "
    "UNION ALL SELECT 'trigger', c.oid::regclass::text || '.' || quote_ident(t.tgname), "
    "pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
    "JOIN home h ON h.oid = c.relnamespace WHERE NOT t.tgisinternal "
    "UNION ALL SELECT 'rule', c.oid::regclass::text || '.' || quote_ident(r.rulename), "
    "pg_get_ruledef(r.oid) FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class "
    "JOIN home h ON h.oid = c.relnamespace WHERE r.rulename <> '_RETURN' "
    "UNION ALL SELECT 'foreign table', c.oid::regclass::text, array_to_string(f.ftoptions, ' ') "
    "FROM pg_foreign_table f JOIN pg_class c ON c.oid = f.ftrelid "
    "JOIN home h ON h.oid = c.relnamespace";

constexpr std::string_view setting_texts =
    "SELECT CASE WHEN s.setrole = 0 THEN 'database' ELSE 'role' END, "
    "CASE WHEN s.setrole = 0 THEN quote_ident(current_database()) "
    "ELSE s.setrole::regrole::text END, array_to_string(s.setconfig, ' ') "
    "FROM pg_db_role_setting s WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_database d "
    "WHERE d.datname = current_database()))";

// The server's own comparison of bytes is quick; the expression then only meets what has the name.
std::string condition(const TextSearch& search) {
  const std::string pattern = quote_literal(word_pattern(search.old_name));
  if (folds(search.old_name)) {
    return fmt::format("strpos(lower(t.text), {}) > 0 AND t.text ~* {}",
                       quote_literal(search.old_name), pattern);
  }
  return fmt::format("t.text ~ {}", pattern);
}

}  // namespace

std::string word_pattern(std::string_view name) {
  std::string doubled;
  for (const char c : name) {
    doubled += c == '"' ? "\"\"" : std::string(1, c);
  }
  const std::string plain = escaped_pattern(name);
  const std::string quoted = escaped_pattern(doubled);
  return fmt::format("(^|[^[:alnum:]_$])({})($|[^[:alnum:]_$])",
                     plain == quoted ? plain : plain + "|" + quoted);
}

std::string stored_texts_query(const TextSearch& search) {
  return fmt::format(
      "WITH home AS (SELECT n.oid FROM pg_namespace n WHERE n.nspname IN ({}, {})), "
      "texts AS ({} UNION ALL {} UNION ALL {}) "
      "SELECT DISTINCT t.kind, t.name FROM texts t WHERE {}",
      quote_literal(search.schema), quote_literal(search.shared_schema), function_texts(search),
      object_texts, setting_texts, condition(search));
}

}  // namespace tenantctl
