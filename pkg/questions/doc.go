// Package questions is the question contract: what one service may ask of
// another and wait for, by NATS request-reply, and the two calls to do so.
//
// A question is for what must be known now and is worth nothing later: how many
// are left, where does the parcel go. Nothing is kept: with nobody there to
// answer, [Ask] fails at once with [ErrUnavailable] and the caller decides.
// What must happen even so is a command (package commands) or a fact (package
// events), never a question.
//
// Answers are given by a queue group, so replicas of a service share the load.
// An answerer's refusal arrives as [*Error] with its code. Ask blocks until the
// answer or ctx's end, whichever is first (2 s when ctx has no deadline).
package questions
