#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tenantctl {

/// Byte offset of the first byte that is not part of well-formed UTF-8 (RFC 3629: no surrogates,
/// no overlong forms), or nothing if all of `text` is.
std::optional<std::size_t> invalid_utf8(std::string_view text);

/// `text` for a person's eyes: control bytes, DEL, C1 controls and bidirectional overrides become
/// \x.. or \u.... escapes, so that a name or a server's message cannot move a terminal's cursor.
/// Line feeds and tabs stay. Invalid UTF-8 is escaped byte by byte.
std::string escaped(std::string_view text);

/// A name (of a schema, a file, a tenant) for a person's eyes: line feeds and tabs are escapes too,
/// so that a name stays on its line and cannot pass for lines of ours.
std::string escaped_name(std::string_view text);

/// escaped(), each line cut to 2,000 characters and marked: a server quotes megabytes if it must.
std::string with_short_lines(std::string_view text);

/// The same for somebody else's words (a server's message or hint): lines behind the first are set
/// in, so that none can pass for a line of ours, and the twenty first stand for all.
std::string told(std::string_view text);

/// The same on one line: line feeds, tabs and runs of blanks are one blank.
std::string single_line(std::string_view text);

/// `text` without who and what stands between a URL's scheme and its host: a URL given in the wrong
/// place is quoted by what refuses it, and it may hold a password.
std::string without_credentials(std::string_view text);

/// The candidate nearest to `word` by edit distance, or nothing if none is near enough to be meant.
std::optional<std::string> nearest(std::string_view word,
                                   const std::vector<std::string>& candidates);

/// Shell-like match of a whole name: `*` any run, `?` one byte, everything else itself.
bool matches_glob(std::string_view name, std::string_view pattern);

/// `1 schema`, `2 schemas`, `3 indexes`: the count with its noun.
std::string counted(std::size_t count, std::string_view singular, std::string_view plural = {});

/// `text` as an SQL string literal that means the same whatever standard_conforming_strings says.
std::string quote_literal(std::string_view text);

/// `name` as a quoted SQL identifier. The caller has refused NUL.
std::string quote_identifier(std::string_view name);

/// `body` as a dollar-quoted literal, between tags that it does not hold. The caller has refused
/// NUL.
std::string dollar_quoted(std::string_view body);

/// `text` with a backslash in front of each byte that is one of `special`.
std::string backslashed(std::string_view text, std::string_view special);

/// `texts` as the value of a text[] parameter, every element quoted.
std::string array_of(const std::vector<std::string>& texts);

/// Number of characters (code points) of well-formed UTF-8.
std::size_t character_count(std::string_view text);

/// The beginning of well-formed UTF-8, at most `most` characters of it.
std::string_view first_characters(std::string_view text, std::size_t most);

/// Columns that a terminal needs for escaped text, rather too many than too few: each character
/// that may be a wide one counts twice.
std::size_t column_count(std::string_view text);

/// `text` cut to at most `most` columns; a cut one ends in `...` if there is room for that.
std::string fitted(std::string_view text, std::size_t most);

/// Lower-case ASCII; other bytes as they are. Never depends on the locale.
std::string lowered(std::string_view text);

}  // namespace tenantctl
