#include "detect/yaml_tree.h"

#include <algorithm>
#include <optional>
#include <sstream>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

namespace domicile::detect {
namespace {

// Leaves yaml-cpp's parser, which knows no other way out.
struct Refused {
  int line;
  std::string what;
};

class TreeBuilder final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    add({.kind = YamlNode::Kind::null, .line = mark.line + 1});
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refused{mark.line + 1, "an alias (*name): write the value out"};
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_anchor(mark, anchor);
    if (!tag.empty() && tag != "?" && tag != "!") refuse_tag(mark);
    if (value.find('\0') != std::string::npos) {
      throw Refused{mark.line + 1, "a NUL character: remove it"};
    }
    add({.kind = YamlNode::Kind::text, .line = mark.line + 1, .text = value, .plain = tag == "?"});
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::list);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::map);
  }
  void OnMapEnd() override { close(); }

  std::optional<YamlNode> take() { return std::exchange(root_, std::nullopt); }

 private:
  struct Open {
    YamlNode node;
    std::optional<std::string> key;  // of a map: read, and waiting for its value
  };

  static void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) {
      throw Refused{mark.line + 1, "an anchor (&name): write the value out where it is used"};
    }
  }
  static void refuse_tag(const YAML::Mark& mark) {
    throw Refused{mark.line + 1, "a tag (!name): rules need none, remove it"};
  }
  void count(int line) {
    if (++nodes_ > kYamlNodesMax) {
      throw Refused{line, fmt::format("more than {} values: split the file", kYamlNodesMax)};
    }
  }
  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            YamlNode::Kind kind) {
    refuse_anchor(mark, anchor);
    if (!tag.empty() && tag != "?" && tag != "!") refuse_tag(mark);
    count(mark.line + 1);
    if (open_.size() >= kYamlDepthMax) {
      throw Refused{mark.line + 1,
                    fmt::format("nested deeper than {}: no rule needs that", kYamlDepthMax)};
    }
    open_.push_back({.node = {.kind = kind, .line = mark.line + 1}, .key = {}});
  }
  void close() {
    YamlNode done = std::move(open_.back().node);
    open_.pop_back();
    place(std::move(done));
  }
  void add(YamlNode node) {
    count(node.line);
    place(std::move(node));
  }
  void place(YamlNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.is_list()) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.key) {
      take_key(parent, std::move(node));
    } else {
      parent.node.members.push_back({std::move(*parent.key), std::move(node)});
      parent.key.reset();
    }
  }
  static void take_key(Open& parent, YamlNode node) {
    if (!node.is_text()) throw Refused{node.line, "a key that is no text: keys are words"};
    if (parent.node.find(node.text) != nullptr) {
      throw Refused{node.line, fmt::format("\"{}\" stands here twice: keep one", node.text)};
    }
    parent.key = std::move(node.text);
  }

  std::vector<Open> open_;
  std::optional<YamlNode> root_;
  std::size_t nodes_ = 0;
};

std::unexpected<Error> refused(const std::string& name, int line, std::string_view what) {
  return fail(Code::invalid, fmt::format("{}: line {}: {}", name, line, what));
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
  const auto at = std::ranges::find_if(members, [&](const YamlMember& m) { return m.key == key; });
  return at == members.end() ? nullptr : &at->value;
}

Result<std::vector<YamlNode>> parse_yaml(std::string_view text, const std::string& name) {
  if (text.size() > kYamlBytesMax) {
    return fail(Code::invalid,
                fmt::format("{}: {} bytes, and a file of rules has at most {}: split it", name,
                            text.size(), kYamlBytesMax));
  }
  std::vector<YamlNode> documents;
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    TreeBuilder builder;
    while (parser.HandleNextDocument(builder)) {
      auto root = builder.take();
      if (!root || root->kind == YamlNode::Kind::null) continue;
      if (documents.size() == kYamlDocumentsMax) {
        return refused(name, root->line,
                       fmt::format("more than {} documents: split the file", kYamlDocumentsMax));
      }
      documents.push_back(std::move(*root));
    }
  } catch (const Refused& problem) {
    return refused(name, problem.line, problem.what);
  } catch (const YAML::Exception& problem) {
    return refused(name, problem.mark.line + 1, "not YAML: " + problem.msg);
  } catch (const std::exception& problem) {
    return refused(name, 1, fmt::format("not YAML: {}", problem.what()));
  }
  return documents;
}

}  // namespace domicile::detect
