#pragma once

#include <string>
#include <string_view>

#include "revision/revision_folder.h"

namespace tenantctl {

/// Where the user wants a schema to be: `head`, `base`, a revision (its digits or a unique prefix
/// of them, or its whole `0012_slug`), `+N` or `-N` steps from where the schema stands.
class Target {
 public:
  enum class Kind { head, base, revision, forward, back };

  /// Throws UsageError if `text` has none of these forms.
  static Target parse(std::string_view text);
  static Target head() { return Target(Kind::head); }

  Kind kind() const { return kind_; }
  std::size_t steps() const { return steps_; }       ///< of `+N`, `-N`
  const std::string& text() const { return text_; }  ///< as the user wrote it

  /// The revision that a Kind::revision names. An exact number wins over a prefix. Throws
  /// UsageError naming the nearest revision if there is none, or the candidates if there are
  /// several.
  const Revision& find_in(const RevisionFolder& folder) const;

 private:
  explicit Target(Kind kind) : kind_(kind), text_(kind == Kind::head ? "head" : "base") {}
  Target(Kind kind, std::size_t steps, std::string text)
      : kind_(kind), steps_(steps), text_(std::move(text)) {}

  Kind kind_;
  std::size_t steps_ = 0;
  std::string text_;
};

}  // namespace tenantctl
