#include "logindex/question.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "store/embedded_sql.h"

namespace domicile::logindex {
namespace {

// "least integer 3: only with ..."
Result<Parameter> parse_parameter(std::string_view line) {
  const auto name_end = line.find(' ');
  const auto type_end = line.find(' ', name_end + 1);
  const auto colon = line.find(": ", type_end);
  if (name_end == line.npos || type_end == line.npos || colon == line.npos) {
    return fail(Code::internal, fmt::format("\"{}\" is not NAME TYPE DEFAULT: HELP", line));
  }
  Parameter parameter{.name = std::string(line.substr(0, name_end)),
                      .type = std::string(line.substr(name_end + 1, type_end - name_end - 1)),
                      .otherwise = std::string(line.substr(type_end + 1, colon - type_end - 1)),
                      .help = std::string(line.substr(colon + 2))};
  if (parameter.otherwise == "required") parameter.otherwise.reset();
  return parameter;
}

std::string names_of(const std::vector<Parameter>& parameters) {
  std::vector<std::string> names;
  for (const Parameter& parameter : parameters) names.push_back(parameter.name);
  return names.empty() ? "it has none" : fmt::format("it has {}", fmt::join(names, ", "));
}

}  // namespace

Result<Question> parse_question(const std::string& name, std::string_view text) {
  Question question{.name = name};
  while (text.starts_with("--")) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with("--: ")) {
      question.parameters.push_back(TRY(parse_parameter(line.substr(4))));
    } else if (line.starts_with("-- ") && question.title.empty()) {
      question.title = line.substr(3);
    }
  }
  question.sql = text;
  if (question.title.empty() || question.sql.empty()) {
    return fail(Code::internal, "a question has a title and a statement");
  }
  return question;
}

Result<std::vector<Question>> questions() {
  constexpr std::string_view kFolder = "question/";
  constexpr std::string_view kEnding = ".sql";
  std::vector<Question> out;
  for (const store::EmbeddedSql& file : store::embedded_sql()) {
    if (!file.path.starts_with(kFolder)) continue;
    const std::string name(
        file.path.substr(kFolder.size(), file.path.size() - kFolder.size() - kEnding.size()));
    auto parsed = parse_question(name, file.text);
    if (!parsed) {
      return std::unexpected(std::move(parsed).error().within("sql/" + std::string(file.path)));
    }
    out.push_back(std::move(*parsed));
  }
  return out;
}

Result<Question> question_named(const std::string& name) {
  for (Question& question : TRY(questions())) {
    if (question.name == name) return std::move(question);
  }
  return fail(Code::invalid,
              fmt::format("\"{}\" is no ready question; see: domicile audit query list", name));
}

Result<std::vector<pg::Param>> bind(const Question& question, const std::string& from,
                                    const std::string& to,
                                    const std::map<std::string, std::string>& given) {
  for (const auto& [name, value] : given) {
    if (std::ranges::find(question.parameters, name, &Parameter::name) ==
        question.parameters.end()) {
      return fail(Code::invalid, fmt::format("{} has no parameter \"{}\": {}", question.name, name,
                                             names_of(question.parameters)));
    }
  }
  std::vector<pg::Param> out{from, to};
  for (const Parameter& parameter : question.parameters) {
    const auto at = given.find(parameter.name);
    if (at != given.end()) {
      out.emplace_back(at->second);
    } else if (parameter.otherwise) {
      out.emplace_back(*parameter.otherwise);
    } else {
      return fail(Code::invalid, fmt::format("{} needs --set {}=... ({})", question.name,
                                             parameter.name, parameter.help));
    }
  }
  return out;
}

}  // namespace domicile::logindex
