// Package notification owns mails and their state, and the live view.
//
// It consumes order.confirmed, .shipped, .cancelled and .rejected, and writes the
// mail that each is due; it publishes notification.email_sent and .email_failed
// to the topic notifications. It serves no commands. It asks customer.contact for
// name and address when it sends, and keeps neither. All facts go to browsers
// through package push.
//
// # Guarantees
//
//   - A mail is written once for an order and kind, in the transaction of the
//     fact's inbox. Orders of marketplaces get none: the marketplace writes.
//   - A mail is sent at least once, and once unless the mail server's 250 is lost,
//     or a crash falls between it and our commit: then the inbox is asked by
//     Message-ID, and where none can be asked the mail is sent again under the same
//     Message-ID and counted as possible_duplicate.
//   - Asynq carries ids only. What a lost Redis forgot is enqueued again.
//   - The order between two mails of an order is not guaranteed.
package notification
