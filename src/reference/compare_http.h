// A comparison over HTTP, between the node of a replica region and the master region's. All calls are POST
// under /v1/reference/compare/; the gate decides who may call (peers with a certificate that names their
// region; without mutual TLS nobody may) and nothing is looked at before it has passed.
//
//   open       JSON {"tables", "rows_per_second"}          -> 201 JSON {"run", "key", "lsn", "tables"}
//   progress   ?run, wait (ms)                             -> JSON {"rows", "tables", "done", "seconds"}
//   rows_of    ?run, table                                 -> the number of rows, as text
//   symbols    ?run, table, first, count                   -> coded symbols
//   keys, current, rows   ?run, table; digests of rows     -> digests, digests, rows
//   close      ?run
#pragma once

#include "http/client.h"
#include "http/message.h"
#include "http/peer_gate.h"
#include "reference/compare_master.h"

namespace domicile::reference {

constexpr std::string_view kComparePrefix = "/v1/reference/compare/";

// `master` outlives the handler. Thread-safe.
http::Handler compare_handler(CompareMaster& master, http::PeerGate gate);
// The same without a gate: for benchmarks, on loopback.
http::Response answer_comparison(CompareMaster& master, const http::Request& request);

// One thread at a time.
class CompareClient final : public CompareMaster {
 public:
  struct Options {
    std::string url;  // base of the master region's door
    Secret peer_token;
    std::string region;  // of this node
    http::ClientOptions http;
  };
  explicit CompareClient(Options options);

  Result<CompareOpened> open(const CompareOpen& request) override;
  Result<ScanProgress> progress(const std::string& run, std::chrono::milliseconds at_most) override;
  Result<std::uint64_t> rows_of(const std::string& run, std::size_t table) override;
  Result<std::vector<digest::Symbol>> symbols(const std::string& run, std::size_t table,
                                              std::uint64_t first, std::size_t count) override;
  Result<Digests> keys(const std::string& run, std::size_t table, const Digests& rows) override;
  Result<Digests> current(const std::string& run, std::size_t table, const Digests& rows) override;
  Result<std::vector<MasterRow>> rows(const std::string& run, std::size_t table,
                                      const Digests& rows) override;
  Result<void> close(const std::string& run) override;
  std::uint64_t bytes() const override { return bytes_; }

 private:
  Result<std::string> call(const std::string& what, std::string body, std::size_t answer_max);

  Options options_;
  http::Client client_;
  std::uint64_t bytes_ = 0;
};

}  // namespace domicile::reference
