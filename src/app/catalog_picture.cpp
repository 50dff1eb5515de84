#include "app/catalog_picture.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "http/html.h"

namespace domicile::app {
namespace {

using http::escaped;
using http::shortened;

using catalog::QualifiedName;
using catalog::Table;
using catalog::TableClass;

constexpr int kBoxWidth = 178;
constexpr int kBoxHeight = 20;
constexpr int kRowHeight = 26;
constexpr int kGapInside = 10;  // between the columns of one group
constexpr int kGapBetween = 64;
constexpr int kHeading = 30;
constexpr int kMargin = 12;
constexpr std::size_t kNameCharacters = 26;

struct Place {
  int x = 0;
  int y = 0;
};

// From the organizations on the left: by the number of steps; then what is nobody's.
std::string group_of(const Table& table) {
  switch (table.table_class) {
    case TableClass::organization:
    case TableClass::mixed:
      if (!table.key.empty()) return "1 organization key";
      if (table.path.empty()) return "6 no way yet";
      if (table.path.size() >= 4) return "5 four steps and more";
      return table.path.size() == 1   ? "2 one step"
             : table.path.size() == 2 ? "3 two steps"
                                      : "4 three steps";
    case TableClass::person: return "7 people";
    case TableClass::reference: return "8 reference";
    case TableClass::system:
    case TableClass::ignored: break;
  }
  return "9 machinery";
}

class Picture {
 public:
  Picture(const catalog::Catalog& catalog, const catalog::Schema& schema)
      : catalog_(catalog), schema_(schema) {}

  std::string draw() {
    arrange();
    std::string boxes;
    for (const Table& table : catalog_.tables) boxes += box(table);
    return fmt::format(
        "<svg class=\"schema\" role=\"img\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" "
        "xmlns=\"http://www.w3.org/2000/svg\"><title>Tables by class, with their foreign "
        "keys</title>\n<g>{2}</g>\n<g class=\"keys\">{3}</g>\n<g>{4}</g>\n</svg>\n",
        width_, height_, headings_, lines(), boxes);
  }

 private:
  void arrange() {
    std::map<std::string, std::vector<const Table*>> groups;
    for (const Table& table : catalog_.tables) {
      const bool root = catalog_.root && table.name == *catalog_.root;
      groups[root ? "0 organizations" : group_of(table)].push_back(&table);
    }
    // As high as it is wide, about: more rows for larger schemas.
    std::size_t rows = 18;
    while (rows * rows * 2 < catalog_.tables.size() * 6) ++rows;
    int x = kMargin;
    height_ = kMargin + kHeading;
    for (const auto& [name, tables] : groups) {
      headings_ += fmt::format("<text class=\"heading\" x=\"{}\" y=\"{}\">{} ({})</text>", x,
                               kMargin + 12, name.substr(2), tables.size());
      for (std::size_t i = 0; i < tables.size(); ++i) {
        const int column = static_cast<int>(i / rows);
        const int row = static_cast<int>(i % rows);
        const Place place{x + column * (kBoxWidth + kGapInside),
                          kMargin + kHeading + row * kRowHeight};
        places_[tables[i]->name] = place;
        height_ = std::max(height_, place.y + kRowHeight);
      }
      const int columns = static_cast<int>((tables.size() + rows - 1) / rows);
      x += columns * (kBoxWidth + kGapInside) - kGapInside + kGapBetween;
    }
    width_ = x - kGapBetween + kMargin;
    height_ += kMargin;
  }

  std::string box(const Table& table) const {
    const Place at = places_.at(table.name);
    const catalog::TableShape* shape = schema_.find(table.name);
    std::string about = fmt::format("{}: {}", to_string(table.name), to_string(table.table_class));
    if (table.open_question()) about += " (a question)";
    if (!table.key.empty()) about += ", by " + table.key;
    for (const auto& step : table.path) about += ", " + to_string(step);
    if (shape != nullptr && shape->rows >= 0)
      about += fmt::format(", about {:.0f} rows", shape->rows);
    const std::string& name = table.name.name;
    return fmt::format(
        "<g class=\"{}{}\"><title>{}</title><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" "
        "rx=\"3\"/><text x=\"{}\" y=\"{}\">{}</text></g>\n",
        to_string(table.table_class), table.open_question() ? " question" : "", escaped(about),
        at.x, at.y, kBoxWidth, kBoxHeight, at.x + 7, at.y + 14,
        escaped(shortened(name, kNameCharacters)));
  }

  std::string line(const QualifiedName& child, const QualifiedName& parent,
                   std::string_view kind) const {
    const auto from = places_.find(child);
    const auto to = places_.find(parent);
    if (from == places_.end() || to == places_.end() || child == parent) return {};
    // Out on the side that faces the parent.
    const bool left = to->second.x < from->second.x;
    const int x1 = left ? from->second.x : from->second.x + kBoxWidth;
    const int x2 = left || to->second.x == from->second.x ? to->second.x + kBoxWidth : to->second.x;
    const int y1 = from->second.y + kBoxHeight / 2;
    const int y2 = to->second.y + kBoxHeight / 2;
    const int bend = left ? -30 : 30;
    const int back = to->second.x == from->second.x ? 30 : -bend;
    return fmt::format("<path class=\"{}\" d=\"M{} {}C{} {} {} {} {} {}\"/>", kind, x1, y1,
                       x1 + bend, y1, x2 + back, y2, x2, y2);
  }

  std::string lines() const {
    std::string thin;
    std::string ways;
    for (const Table& table : catalog_.tables) {
      const catalog::TableShape* shape = schema_.find(table.name);
      if (shape == nullptr) continue;
      for (const catalog::ForeignKey& key : shape->foreign_keys) {
        const bool way = (!table.path.empty() && table.path[0].columns == key.columns) ||
                         (!table.key.empty() && key.columns == std::vector{table.key});
        if (!way) thin += line(table.name, key.references, "key");
      }
      if (!table.path.empty())
        ways += line(table.name, table.path[0].references, "way");
      else if (!table.key.empty() && catalog_.root)
        ways += line(table.name, *catalog_.root, "way");
    }
    return thin + ways;
  }

  const catalog::Catalog& catalog_;
  const catalog::Schema& schema_;
  std::map<QualifiedName, Place> places_;
  std::string headings_;
  int width_ = 0;
  int height_ = 0;
};

}  // namespace

std::string schema_picture(const catalog::Catalog& catalog, const catalog::Schema& schema) {
  return Picture(catalog, schema).draw();
}

}  // namespace domicile::app
