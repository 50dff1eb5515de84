// Reads tests/http_corpus for the unit tests; the format is described in its README.
#pragma once

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "wire/http1_chars.h"

namespace domicile::wire {

struct CorpusCase {
  std::string name;
  std::string expected;
  std::string bytes;
};

inline std::string expand_repeats(const std::string& text) {
  std::string out;
  std::size_t at = 0;
  for (std::size_t start; (start = text.find("repeat(", at)) != std::string::npos;) {
    out += text.substr(at, start - at);
    const std::size_t comma = text.find(',', start);
    const std::size_t end = text.find(')', comma);
    const int times = std::stoi(text.substr(start + 7, comma - start - 7));
    for (int i = 0; i < times; ++i) out += text.substr(comma + 1, end - comma - 1);
    at = end + 1;
  }
  return out + text.substr(at);
}

inline std::string unescape(const std::string& text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out += text[i];
      continue;
    }
    switch (text.at(++i)) {
      case 'r': out += '\r'; break;
      case 'n': out += '\n'; break;
      case 't': out += '\t'; break;
      case '0': out += '\0'; break;
      case 'x':
        out += static_cast<char>(hex_value(text.at(i + 1)) * 16 + hex_value(text.at(i + 2)));
        i += 2;
        break;
      default: out += text[i];
    }
  }
  return out;
}

inline std::vector<CorpusCase> read_corpus(const std::string& file) {
  const auto path =
      std::filesystem::path(__FILE__).parent_path() / "../../tests/http_corpus" / file;
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot read " + path.string());
  std::vector<CorpusCase> cases;
  for (std::string line; std::getline(in, line);) {
    const std::size_t first = line.find('\t');
    const std::size_t second = line.find('\t', first + 1);
    cases.push_back({line.substr(0, first), line.substr(first + 1, second - first - 1),
                     unescape(expand_repeats(line.substr(second + 1)))});
  }
  return cases;
}

}  // namespace domicile::wire
