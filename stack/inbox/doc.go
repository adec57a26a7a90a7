// Package inbox is a mail server for demonstrations and tests: it accepts every
// mail, delivers none, and shows them on a page and as JSON.
//
// Guarantees:
//
//   - A mail that was answered with 250 is in a file of its own and is found by
//     its Message-ID from then on, after a restart and kill -9 too. Two mails
//     with one Message-ID are two mails.
//   - It keeps the newest [Limit] mails.
//   - A mail's HTML is shown in a sandbox without scripts and without requests
//     to anywhere.
//
// HTTP:
//
//	GET /                              the page
//	GET /?message_id=<…>               the mail with this Message-ID; the page, where it is not one
//	GET /messages/{id}                 one mail, as a page
//	GET /api/messages?limit=&cursor=   newest first: {items:[{id, message_id, from, to, subject, received_at, size}], cursor}
//	GET /api/messages?message_id=<…>   those with this Message-ID, with or without the angle brackets
//	GET /api/messages?to=              those to this address
//	GET /api/messages/{id}             the same fields and {headers, text, html}
//	GET /api/messages/{id}/raw         message/rfc822, as it was received
package inbox
