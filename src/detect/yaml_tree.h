// YAML as a tree of plain values, for rule files that anybody may have written. Only what a rule
// needs: maps, lists, texts and nulls. Anchors, aliases, tags and duplicate keys are refused: they
// let a small file grow large, or say one thing to a reader and another to us. Every node knows its
// line. Pure and thread-safe; errors are Code::invalid and name the file and the line.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace domicile::detect {

struct YamlMember;

struct YamlNode {
  enum class Kind { null, text, list, map };
  Kind kind = Kind::null;
  int line = 0;  // from 1
  std::string text;
  bool plain = false;  // not quoted: `5` is a number and `true` a boolean
  std::vector<YamlNode> items;
  std::vector<YamlMember> members;  // keys are unique

  bool is_map() const { return kind == Kind::map; }
  bool is_list() const { return kind == Kind::list; }
  bool is_text() const { return kind == Kind::text; }
  const YamlNode* find(std::string_view key) const;  // null: no such member, or no map
};

struct YamlMember {
  std::string key;
  YamlNode value;
};

constexpr std::size_t kYamlBytesMax = 256 * 1024;
constexpr std::size_t kYamlNodesMax = 20'000;
constexpr std::size_t kYamlDepthMax = 32;
constexpr std::size_t kYamlDocumentsMax = 200;

// The documents of one file, `---` between them; empty ones are left out.
Result<std::vector<YamlNode>> parse_yaml(std::string_view text, const std::string& name);

}  // namespace domicile::detect
