// For tests: a whole log in a folder, built by the plainest means from its entries, and a signer
// and witnesses for it.
#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "base/file.h"
#include "tlog/cosignature.h"
#include "tlog/policy.h"
#include "tlog/tile.h"

namespace domicile::audit {

class LogFixture {
 public:
  // A folder of its own below the system's temporary folder, removed in the end.
  LogFixture() {
    std::string pattern = (std::filesystem::temp_directory_path() / "log-XXXXXX").string();
    folder = ::mkdtemp(pattern.data());
  }
  ~LogFixture() { std::filesystem::remove_all(folder); }
  LogFixture(const LogFixture&) = delete;
  LogFixture& operator=(const LogFixture&) = delete;

  static crypto::SigningKey new_key() {
    return crypto::SigningKey::generate(crypto::Algorithm::eddsa).value();
  }

  // Adds entries; `entry(i)` gives the text of entry i.
  void grow_to(std::uint64_t size, const std::function<std::string(std::uint64_t)>& entry) {
    while (entries.size() < size) {
      entries.push_back(entry(entries.size()));
      leaves.push_back(tlog::leaf_hash(entries.back()));
    }
  }

  tlog::Hash subtree(unsigned level, std::uint64_t index) const {
    if (level == 0) return leaves[index];
    return tlog::node_hash(subtree(level - 1, 2 * index), subtree(level - 1, 2 * index + 1));
  }
  tlog::Checkpoint checkpoint() const {
    tlog::Frontier frontier;
    for (const auto& leaf : leaves) frontier.append(leaf);
    return {signer.name(), entries.size(), frontier.root()};
  }
  std::string signed_checkpoint() const {
    const std::string text = tlog::checkpoint_text(checkpoint());
    return text + "\n" + signer.sign_line(text).value();
  }

  void write(const std::string& path, const std::string& bytes) const {
    std::filesystem::create_directories((folder / path).parent_path());
    std::ofstream(folder / path, std::ios::binary | std::ios::trunc) << bytes;
  }
  std::string read(const std::string& path) const { return read_file(folder / path).value(); }

  // Tiles, bundles and checkpoint of the size that the log has now; older partials stay.
  void publish() const {
    for (const auto& id : tlog::tiles_of(entries.size())) {
      std::vector<tlog::Hash> hashes;
      for (unsigned i = 0; i < id.width; ++i) {
        hashes.push_back(subtree(8 * id.level, id.index * 256 + i));
      }
      write(tlog::tile_path(id), tlog::tile_bytes(hashes));
      if (id.level != 0) continue;
      std::string bundle;
      for (unsigned i = 0; i < id.width; ++i) {
        tlog::append_entry(bundle, entries[id.index * 256 + i]);
      }
      write(tlog::bundle_path(id.index, id.width), bundle);
    }
    write("checkpoint", signed_checkpoint());
  }

  std::vector<std::string> files() const {
    std::vector<std::string> out;
    for (const auto& file : std::filesystem::recursive_directory_iterator(folder)) {
      if (file.is_regular_file()) {
        out.push_back(file.path().lexically_relative(folder).string());
      }
    }
    return out;
  }

  std::filesystem::path folder;
  tlog::NoteSigner signer = tlog::NoteSigner::create("ca.example.com/log", new_key()).value();
  tlog::Policy policy = tlog::Policy::of_logs({signer.key()});
  std::vector<std::string> entries;
  std::vector<tlog::Hash> leaves;
};

}  // namespace domicile::audit
