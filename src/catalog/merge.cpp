#include "catalog/merge.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace domicile::catalog {
namespace {

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::size_t size = end == std::string_view::npos ? text.size() : end + 1;
    lines.push_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return lines;
}

bool blank(std::string_view line) {
  return line.find_first_not_of(" \t\r\n") == std::string_view::npos;
}
bool comment(std::string_view line) {
  const auto at = line.find_first_not_of(" \t");
  return at != std::string_view::npos && line[at] == '#';
}

// One [[table]] section with the comment right above it.
struct Section {
  const Table* table = nullptr;
  std::string text;
};

struct Layout {
  std::string head;
  std::vector<Section> sections;  // in the file's order
};

Layout split(std::string_view text, const Catalog& before) {
  const auto lines = lines_of(text);
  std::vector<const Table*> order;
  for (const Table& table : before.tables) order.push_back(&table);
  std::ranges::sort(order, {}, &Table::line);
  std::vector<std::size_t> starts;
  std::size_t floor = 0;
  for (const Table* table : order) {
    std::size_t start = table->line - 1;
    while (start > floor && comment(lines[start - 1])) --start;
    starts.push_back(start);
    floor = table->line;
  }
  Layout layout;
  const auto join = [&](std::size_t from, std::size_t to) {
    std::string out;
    for (std::size_t i = from; i < to; ++i) out += lines[i];
    while (out.ends_with("\n\n")) out.pop_back();
    if (!out.empty() && !out.ends_with('\n')) out += '\n';
    return blank(out) ? std::string() : out;
  };
  layout.head = join(0, starts.empty() ? lines.size() : starts[0]);
  for (std::size_t i = 0; i < order.size(); ++i) {
    layout.sections.push_back(
        {order[i], join(starts[i], i + 1 < starts.size() ? starts[i + 1] : lines.size())});
  }
  return layout;
}

// The comment above a proposed section is a person's too.
std::string with_comment(const std::string& old_text, const std::string& section) {
  std::string comments;
  for (std::string_view line : lines_of(old_text)) {
    if (!comment(line)) break;
    comments += line;
  }
  return comments + section;
}

std::string head_with(std::string head, const Catalog& before, const Catalog& after) {
  const auto set = [&](std::string_view key, const std::string& line) {
    std::string out;
    bool done = false;
    for (std::string_view each : lines_of(head)) {
      const bool match =
          !done && each.starts_with(key) && each.find_first_of(" =", key.size()) == key.size();
      out += match ? line : std::string(each);
      done = done || match;
    }
    head = done ? std::move(out) : head + line;
  };
  // Written only where they say something new; an absent list means the schemas of the tables.
  if (before.schemas != after.schemas) {
    const std::string whole = to_toml(Catalog{.root = {}, .schemas = after.schemas, .tables = {}});
    const std::size_t at = whole.find("schemas = ");
    set("schemas", whole.substr(at, whole.find(']', at) + 2 - at));
  }
  if (before.root != after.root && after.root) {
    const std::string whole = to_toml(Catalog{.root = after.root, .schemas = {}, .tables = {}});
    const std::size_t at = whole.find("root = ");
    set("root", whole.substr(at, whole.find('\n', at) + 1 - at));
  }
  return head;
}

}  // namespace

Result<std::string> merge_into(std::string_view text, const Catalog& before, const Catalog& after) {
  const Layout layout = split(text, before);
  std::string out = head_with(layout.head, before, after);
  const bool sorted =
      std::ranges::is_sorted(layout.sections, {}, [](const Section& s) { return s.table->name; });
  std::vector<const Table*> added;
  for (const Table& table : after.tables) {
    if (before.find(table.name) == nullptr) added.push_back(&table);
  }
  auto next = added.begin();
  const auto add_before = [&](const QualifiedName* name) {
    while (next != added.end() && (name == nullptr || (sorted && (*next)->name < *name))) {
      out += "\n" + to_toml(**next++, after.default_mode);
    }
  };
  for (const Section& section : layout.sections) {
    add_before(&section.table->name);
    const Table* now = after.find(section.table->name);
    if (now == nullptr) continue;
    const std::string fresh = to_toml(*now, after.default_mode);
    const bool same = fresh == to_toml(*section.table, before.default_mode);
    out += "\n" + (same ? section.text : with_comment(section.text, fresh));
  }
  add_before(nullptr);
  // The layout was read by lines; what counts is that the result says exactly what it should.
  const auto again = parse_catalog(out, "merged");
  if (!again || to_toml(*again) != to_toml(after)) {
    return fail(Code::conflict,
                fmt::format("the file's layout is in the way of merging{}; write [catalog] first, "
                            "then each table as a [[table]] section of its own",
                            again ? "" : ": " + again.error().message));
  }
  return out;
}

}  // namespace domicile::catalog
