// Strong identifiers: an OrgKey is not a RegionId, although both are text. Parsing and validation
// happen at the edge, in each tag's own parse function; after that the type is the proof.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace domicile {

template <typename Tag>
class Id {
 public:
  Id() = default;
  explicit Id(std::string text) : text_(std::move(text)) {}
  explicit Id(std::string_view text) : text_(text) {}
  explicit Id(const char* text) : text_(text) {}

  const std::string& text() const { return text_; }
  std::string_view view() const { return text_; }
  bool empty() const { return text_.empty(); }

  friend auto operator<=>(const Id&, const Id&) = default;

 private:
  std::string text_;
};

}  // namespace domicile

template <typename Tag>
struct std::hash<domicile::Id<Tag>> {
  std::size_t operator()(const domicile::Id<Tag>& id) const noexcept {
    return std::hash<std::string_view>{}(id.view());
  }
};
