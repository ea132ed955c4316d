// At most one stream answers publishers on a subject.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "src/model/stream_config.h"
#include "src/model/subject.h"

namespace bascule::model {
namespace {

StreamConfig stream(std::string name, std::vector<std::string> subjects,
                    AnswerMode answers = AnswerMode::automatic) {
  StreamConfig config;
  config.name = std::move(name);
  config.subjects = std::move(subjects);
  config.answers = answers;
  return config;
}

TEST(answers_beside, two_answering_streams_on_one_subject_are_refused) {
  const Status result =
      check_answers_beside(stream("b", {"x", "orders.*"}), stream("a", {"orders.eu"}));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::invalid);
  EXPECT_NE(result.error().context.find("\"a\""), std::string::npos);
}

TEST(answers_beside, a_stream_that_does_not_answer_may_record_the_same_subject) {
  EXPECT_TRUE(
      check_answers_beside(stream("b", {"orders.*"}, AnswerMode::off), stream("a", {"orders.eu"})));
  EXPECT_TRUE(
      check_answers_beside(stream("b", {"orders.*"}), stream("a", {"orders.eu"}, AnswerMode::off)));
  EXPECT_TRUE(check_answers_beside(stream("b", {">"}), stream("a", {"orders.eu"})));
}

TEST(answers_beside, separate_subjects_may_both_answer) {
  EXPECT_TRUE(
      check_answers_beside(stream("b", {"orders.*"}), stream("a", {"orders.eu.paid", "bills"})));
}

TEST(answers_beside, reserved_subjects_that_a_wildcard_does_not_record_are_no_overlap) {
  EXPECT_TRUE(check_answers_beside(stream("b", {">"}, AnswerMode::on),
                                   stream("a", {"_INBOX.>"}, AnswerMode::on)));
  EXPECT_FALSE(check_answers_beside(stream("b", {"_INBOX.x"}, AnswerMode::on),
                                    stream("a", {"_INBOX.>"}, AnswerMode::on)));
  EXPECT_FALSE(check_answers_beside(stream("b", {">"}, AnswerMode::on),
                                    stream("a", {"*.x"}, AnswerMode::on)));
}

RC_GTEST_PROP(answers_beside, overlap_of_recorded_subjects_covers_every_subject_that_both_record,
              ()) {
  const auto token = rc::gen::element<std::string>("a", "b", "$x", "_INBOX", "*", ">");
  const auto filter = [&] {
    const auto tokens =
        *rc::gen::nonEmpty(rc::gen::resize(4, rc::gen::container<std::vector<std::string>>(token)));
    std::string out;
    for (const std::string& t : tokens) {
      out += (out.empty() ? "" : ".") + t;
      if (t == ">") break;
    }
    return out;
  };
  const std::string a = filter(), b = filter(), subject = filter();
  RC_PRE(valid_subject(subject));
  if (records_subject(a, subject) && records_subject(b, subject))
    RC_ASSERT(recorded_subjects_overlap(a, b));
}

}  // namespace
}  // namespace bascule::model
