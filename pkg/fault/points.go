package fault

// Point is the name of a place where faults can be armed.
type Point string

// The points, by who passes them.
const (
	// The outbox of a service; keys are the facts' aggregate ids.
	CommitBefore  Point = "commit.before"
	CommitAfter   Point = "commit.after"
	ProduceBefore Point = "produce.before"
	ProduceAfter  Point = "produce.after"
	CursorBefore  Point = "cursor.before"
	CursorAfter   Point = "cursor.after"

	// The consumers of a service; keys are the consumer's group, and event ids or
	// the message's key.
	InboxBefore      Point = "inbox.before"
	InboxAfter       Point = "inbox.after"
	AckBefore        Point = "ack.before"
	AckAfter         Point = "ack.after"
	DeadLetterBefore Point = "dead_letter.before"
	DeadLetterAfter  Point = "dead_letter.after"

	// Commands and jobs; keys are the order's or the job's id, and the name.
	ActivityBefore Point = "activity.before"
	ActivityAfter  Point = "activity.after"
	JobBefore      Point = "job.before"
	JobAfter       Point = "job.after"

	// Servers of others; keys are the order's or the mail's id, and what is asked.
	ProviderBefore Point = "provider.before"
	ProviderAfter  Point = "provider.after"
	CourierBefore  Point = "courier.before"
	CourierAfter   Point = "courier.after"
	MailBefore     Point = "mail.before"
	MailAfter      Point = "mail.after"
)

// Description says where a point is.
type Description struct {
	Name Point  `json:"name"`
	Doc  string `json:"doc"`
}

// Catalogue lists all points, in the order in which an order meets them.
func Catalogue() []Description {
	return []Description{
		{CommitBefore, "a transaction of the service is about to commit, with its facts"},
		{CommitAfter, "a transaction has committed; its caller does not know yet"},
		{ProduceBefore, "the relay is about to send rows to Kafka"},
		{ProduceAfter, "Kafka has acknowledged rows; the relay does not know yet"},
		{CursorBefore, "the relay is about to store its cursor"},
		{CursorAfter, "the cursor is stored; the relay does not know yet"},
		{InboxBefore, "a consumer's transaction, effect and inbox row in it, is about to commit"},
		{InboxAfter, "a consumer's transaction has committed; its message is not acknowledged"},
		{AckBefore, "a consumer is about to commit offsets to Kafka"},
		{AckAfter, "offsets are committed; the consumer does not know yet"},
		{DeadLetterBefore, "a message is about to be written to the dead letters"},
		{DeadLetterAfter, "a dead letter is written; its message is not acknowledged"},
		{ActivityBefore, "a service is about to do what the saga asked it for"},
		{ActivityAfter, "a command is done; the saga does not know yet"},
		{JobBefore, "a worker is about to do a job"},
		{JobAfter, "a job is done; its queue does not know yet"},
		{ProviderBefore, "the payment provider is about to be asked"},
		{ProviderAfter, "the payment provider has answered; the answer is not recorded"},
		{CourierBefore, "the courier is about to be handed a parcel"},
		{CourierAfter, "the courier has the parcel; its label is not recorded"},
		{MailBefore, "a mail is about to be handed to the mail server"},
		{MailAfter, "the mail server has taken a mail; its answer is lost"},
	}
}

// known says whether there is such a point.
func known(p Point) bool {
	for _, d := range Catalogue() {
		if d.Name == p {
			return true
		}
	}
	return false
}
