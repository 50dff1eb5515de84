// The ready questions: sql/question/NAME.sql, compiled in. A file opens with its title as a comment and
// a line for each parameter from $3 on ($1 and $2 are the time from and to, in every question):
//
//   -- Who touched an organization's data
//   --: organization text required: the organization's key
//   --: least integer 3: only with at least so many
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "pg/connection.h"

namespace domicile::logindex {

struct Parameter {
  std::string name;
  std::string type;                      // of PostgreSQL
  std::optional<std::string> otherwise;  // nullopt: required
  std::string help;
};

struct Question {
  std::string name;
  std::string title;
  std::vector<Parameter> parameters;
  std::string sql;
};

// Code::internal: the file is not of the form above.
Result<Question> parse_question(const std::string& name, std::string_view text);
Result<std::vector<Question>> questions();  // by name
Result<Question> question_named(const std::string& name);

// The statement's parameters from what a person gave as NAME=VALUE. Code::invalid names what is
// missing, or not a parameter of this question.
Result<std::vector<pg::Param>> bind(const Question& question, const std::string& from,
                                    const std::string& to,
                                    const std::map<std::string, std::string>& given);

}  // namespace domicile::logindex
