#include "tlog/policy.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "tlog/text.h"

namespace domicile::tlog {
namespace {

constexpr std::size_t kDefinedMax = 256;  // of each kind
constexpr std::size_t kPolicyBytesMax = 1u << 20;

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  for (;;) {
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    if (line.empty()) return words;
    const auto end = std::min(line.find_first_of(" \t"), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

bool is_allowed(unsigned char c) { return c == '\t' || c == '\n' || (c >= 0x20 && c != 0x7f); }

}  // namespace

class PolicyReader {
 public:
  Result<Policy> read(std::string_view text) {
    if (text.size() > kPolicyBytesMax) return fail(Code::invalid, "a policy of more than 1 MiB");
    for (std::size_t number = 1; !text.empty(); ++number) {
      const auto end = std::min(text.find('\n'), text.size());
      const auto line = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      auto read = read_line(line);
      if (!read) {
        return std::unexpected(std::move(read).error().within(fmt::format("line {}", number)));
      }
    }
    if (!has_quorum_) {
      return fail(Code::invalid, "there is no quorum line; write 'quorum none' to ask for none");
    }
    return std::move(policy_);
  }

 private:
  using Words = std::vector<std::string_view>;

  Result<void> read_line(std::string_view line) {
    if (!std::ranges::all_of(line, is_allowed)) {
      return fail(Code::invalid, "holds a control character");
    }
    const Words words = words_of(line);
    if (words.empty() || words[0].starts_with('#')) return {};
    if (words[0] == "log") return log(words);
    if (words[0] == "witness") return witness(words);
    if (words[0] == "group") return group(words);
    if (words[0] == "quorum") return quorum(words);
    return fail(Code::invalid,
                fmt::format("'{}' is none of log, witness, group, quorum", words[0]));
  }

  Result<void> log(const Words& words) {
    if (words.size() < 2 || words.size() > 3) {
      return fail(Code::invalid, "write: log <verifier key> [<url>]");
    }
    auto key = TRY(NoteKey::parse(words[1]));
    if (key.type() != SignatureType::ed25519) {
      return fail(Code::invalid, "a log's key has type 0x01 (Ed25519)");
    }
    if (policy_.logs_.size() == kDefinedMax) return fail(Code::invalid, "more than 256 logs");
    for (const auto& known : policy_.logs_) {
      if (known.key.public_bytes() == key.public_bytes()) {
        return fail(Code::invalid, "this log's public key is listed already");
      }
    }
    policy_.logs_.push_back({std::move(key), words.size() > 2 ? std::string(words[2]) : ""});
    return {};
  }

  Result<void> witness(const Words& words) {
    if (words.size() < 3 || words.size() > 4) {
      return fail(Code::invalid, "write: witness <name> <verifier key> [<url>]");
    }
    auto key = TRY(NoteKey::parse(words[2]));
    if (key.type() != SignatureType::cosignature_v1) {
      return fail(Code::invalid, "a witness's key has type 0x04 (cosignature/v1)");
    }
    if (policy_.witnesses_.size() == kDefinedMax) {
      return fail(Code::invalid, "more than 256 witnesses");
    }
    for (const auto& known : policy_.witnesses_) {
      if (known.key.public_bytes() == key.public_bytes()) {
        return fail(Code::invalid,
                    fmt::format("this public key is that of {} already", known.name));
      }
    }
    TRY(define(words[1], {.witness = policy_.witnesses_.size()}));
    policy_.witnesses_.push_back(
        {std::string(words[1]), std::move(key), words.size() > 3 ? std::string(words[3]) : ""});
    return {};
  }

  Result<void> group(const Words& words) {
    if (words.size() < 4) return fail(Code::invalid, "write: group <name> all|any|<k> <name>...");
    Policy::Node node;
    for (std::size_t i = 3; i < words.size(); ++i) {
      const auto member = TRY(find(words[i]));
      if (is_member_[member]) {
        return fail(Code::invalid, fmt::format("{} is a member of a group already", words[i]));
      }
      is_member_[member] = true;
      node.members.push_back(member);
    }
    const auto count = node.members.size();
    const auto wanted = words[2] == "all"   ? count
                        : words[2] == "any" ? 1
                                            : parse_decimal(words[2]).value_or(0);
    if (wanted < 1 || wanted > count) {
      return fail(Code::invalid,
                  fmt::format("'{}' must be all, any, or a number from 1 to {}", words[2], count));
    }
    node.threshold = wanted;
    if (++groups_ > kDefinedMax) return fail(Code::invalid, "more than 256 groups");
    return define(words[1], std::move(node));
  }

  Result<void> quorum(const Words& words) {
    if (words.size() != 2) return fail(Code::invalid, "write: quorum <name>, or quorum none");
    if (has_quorum_) return fail(Code::invalid, "a second quorum line");
    has_quorum_ = true;
    if (words[1] != "none") policy_.quorum_ = TRY(find(words[1]));
    return {};
  }

  Result<std::size_t> find(std::string_view name) const {
    const auto at = names_.find(name);
    if (at == names_.end()) {
      return fail(Code::invalid, fmt::format("'{}' is not defined above", name));
    }
    return at->second;
  }

  Result<void> define(std::string_view name, Policy::Node node) {
    if (name == "none") return fail(Code::invalid, "'none' is a reserved name");
    if (!names_.emplace(std::string(name), policy_.nodes_.size()).second) {
      return fail(Code::invalid, fmt::format("'{}' is defined already", name));
    }
    policy_.nodes_.push_back(std::move(node));
    is_member_.push_back(false);
    return {};
  }

  Policy policy_;
  std::map<std::string, std::size_t, std::less<>> names_;
  std::vector<bool> is_member_;
  std::size_t groups_ = 0;
  bool has_quorum_ = false;
};

Result<Policy> Policy::parse(std::string_view text) { return PolicyReader().read(text); }

Policy Policy::of_logs(std::vector<NoteKey> keys) { return Policy().with_logs(keys); }

Policy Policy::with_logs(const std::vector<NoteKey>& keys) const {
  Policy out = *this;
  for (const auto& key : keys) {
    const bool known = std::ranges::any_of(
        out.logs_, [&](const auto& log) { return log.key.text() == key.text(); });
    if (!known) out.logs_.push_back({key, ""});
  }
  return out;
}

bool Policy::has_quorum(const std::vector<std::size_t>& witnessed) const {
  if (quorum_ == kNone) return true;
  std::vector<bool> met(nodes_.size());
  for (std::size_t i = 0; i < nodes_.size(); ++i) {  // members stand before their group
    const Node& node = nodes_[i];
    const auto has = [&](std::size_t member) { return met[member]; };
    met[i] =
        node.witness != kNone
            ? std::ranges::find(witnessed, node.witness) != witnessed.end()
            : static_cast<std::size_t>(std::ranges::count_if(node.members, has)) >= node.threshold;
  }
  return met[quorum_];
}

Result<WitnessedCheckpoint> Policy::open(std::string_view content) const {
  std::vector<NoteKey> keys;
  for (const auto& log : logs_) keys.push_back(log.key);
  for (const auto& witness : witnesses_) keys.push_back(witness.key);
  auto opened = TRY(open_checkpoint(content, keys));
  WitnessedCheckpoint out{std::move(opened.checkpoint), std::move(opened.note), {}};
  for (const std::size_t i : opened.signers) {
    if (i >= logs_.size()) {
      out.witnesses.push_back(i - logs_.size());
    } else if (keys[i].name() == out.checkpoint.origin) {
      out.log_keys.push_back(keys[i]);
    }
  }
  return out;
}

Result<WitnessedCheckpoint> Policy::require(std::string_view content) const {
  auto out = TRY(open(content));
  if (!has_quorum(out.witnesses)) {
    return fail(Code::denied,
                fmt::format("the log signed it, but only {} of {} witnesses did: no quorum",
                            out.witnesses.size(), witnesses_.size()),
                "quorum_missing");
  }
  return out;
}

}  // namespace domicile::tlog
