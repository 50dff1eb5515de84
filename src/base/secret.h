// A Secret holds key material or a password. It has no formatter and no stream operator, so it
// cannot reach a log by accident; its bytes are wiped when it dies. reveal() is the one way in:
// search for it to review every use.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace domicile {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string bytes) : bytes_(std::move(bytes)) {}
  Secret(const Secret&) = default;
  Secret(Secret&& other) noexcept : bytes_(std::move(other.bytes_)) { other.wipe(); }
  Secret& operator=(const Secret& other);
  Secret& operator=(Secret&& other) noexcept;
  ~Secret() { wipe(); }

  std::string_view reveal() const { return bytes_; }
  bool empty() const { return bytes_.empty(); }

 private:
  void wipe() noexcept;
  std::string bytes_;
};

// Equal without telling where they differ: for MACs and tokens.
bool equal_constant_time(std::string_view a, std::string_view b);

}  // namespace domicile
