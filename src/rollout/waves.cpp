#include "rollout/waves.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/text.h"

namespace tenantctl {

Amount Amount::parse(const std::string& text) {
  Amount amount;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, amount.count);
  amount.is_percent = rest + 1 == end && *rest == '%';
  const bool is_whole = rest == end || amount.is_percent;
  if (error != std::errc() || !is_whole || (amount.is_percent && amount.count > 100)) {
    throw UsageError(
        fmt::format("\"{}\" is neither a number of schemas nor a share of them", escaped(text)),
        "Write 10, or 10%.");
  }
  return amount;
}

std::size_t Amount::of(std::size_t total) const {
  return is_percent ? (total * count + 99) / 100 : count;
}

std::size_t Amount::at_most(std::size_t total) const {
  return is_percent ? total * count / 100 : count;
}

std::vector<std::size_t> wave_ends(const WaveOptions& options, std::size_t total,
                                   std::size_t named) {
  std::vector<std::size_t> ends;
  const auto add = [&ends, total](std::size_t end) {
    end = std::min(end, total);
    if (end > (ends.empty() ? 0 : ends.back())) {
      ends.push_back(end);
    }
  };
  add(named);
  if (options.canary) {
    add(options.canary->of(total));
  }
  for (const Amount& wave : options.waves) {
    add(wave.of(total));
  }
  add(total);
  return ends;
}

}  // namespace tenantctl
