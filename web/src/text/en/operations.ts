import type { Letter } from '../../api/dead-letters';
import type { RunState } from '../../api/scenarios';
import type { Task } from '../../api/tasks';

const runState: Record<RunState, string> = {
  running: 'Running',
  kept: 'As promised',
  broken: 'Not as promised',
  failed: 'Not played to its end',
};

const reason: Record<Letter['reason'], string> = {
  undecodable: 'Undecodable',
  unknown_version: 'Unknown version',
  failed: 'Failed',
  panicked: 'Panicked',
};

const reasonHint: Record<Letter['reason'], string> = {
  undecodable: 'The bytes are no event that its schema knows. Sending them again changes nothing; their producer has to be mended.',
  unknown_version: 'The event is of a version that this consumer does not know yet. Redrive it after an update.',
  failed: 'The consumer refused it, again and again. Redrive it when the cause is mended.',
  panicked: 'The consumer crashed on it. Redrive it when the fault is mended.',
};

const outcome: Record<string, (n: number) => string> = {
  redriven: (n) => `${n} handed back to ${n === 1 ? 'its' : 'their'} group`,
  would_redrive: (n) => `${n} would be handed back`,
  already_redriven: (n) => `${n} ${n === 1 ? 'was' : 'were'} handed back already`,
  came_back: (n) => `${n} came back too often`,
  not_whole: (n) => `${n} ${n === 1 ? 'is' : 'are'} not whole`,
  not_found: (n) => `${n} ${n === 1 ? 'is' : 'are'} no longer there`,
};

const taskKind: Record<Task['kind'], string> = {
  compensation_failed: 'Compensation failed',
  delivery_overdue: 'Delivery overdue',
  parked_message: 'Parked message',
};

const taskState: Record<Task['state'], string> = { open: 'Open', retrying: 'Retrying', done: 'Done' };

const invariant: Record<string, string> = {
  'stock adds up': 'On hand, reserved and shipped are together what was received, for every product.',
  'money adds up': 'What was taken and not given back is what shipped orders cost; the ledger sums to zero, and the payment provider’s own books agree.',
  'orders end, and hold nothing then': 'Every order reaches its end in time; one that was cancelled or rejected holds neither stock nor money.',
  'every fact arrives, in order and once': 'Every fact that was committed is in Kafka, in order and without gaps, and took effect once.',
  'every mail due is sent once': 'Each mail that an order is due was sent, and none twice.',
  'read models equal the log': 'Sales and other views are what the facts add up to when they are read again from the first.',
};

const parts: Record<string, string> = {
  kafka: 'Kafka does not answer: topics and consumer groups are not shown.',
  nats: 'NATS does not answer: streams are not shown.',
  temporal: 'The saga engine does not answer: task queues are not shown.',
  redis: 'Redis does not answer: queues of mails are not shown.',
  analytics: 'The analytics service does not answer: topics, groups and streams are not shown.',
  order: 'The order service does not answer: task queues are not shown.',
  notification: 'The notification service does not answer: mails are not shown.',
};

const units = (n: number, one: string, many = `${one}s`) => `${n.toLocaleString('en-GB')} ${n === 1 ? one : many}`;

/** What an engineer looks at. */
export const operations = {
  sections: { scenarios: 'Scenarios', invariants: 'Invariants', deadLetters: 'Dead letters', tasks: 'Tasks', brokers: 'Brokers' },

  scenarios: {
    title: 'Scenarios',
    lead: 'Break the shop on purpose. Each scenario says beforehand what must happen, runs on the real system, and is judged at its end.',
    list: 'Scenarios',
    loading: 'Loading scenarios',
    failed: 'The scenarios could not be loaded',
    off: 'This shop offers no scenarios',
    offHint: 'They place orders, kill services and stop brokers, so only a shop for demonstrations has them.',
    offCommand: 'cartwheel up --demo',
    play: 'Play',
    playing: 'Playing …',
    playLabel: (does: string, title: string) => `${does}: ${title}`,
    again: 'Play again',
    busy: (title: string) => `“${title}” is being played. One at a time: they would spoil each other.`,
    watch: 'Watch it',
    command: 'On the command line',
    promises: 'What must happen',
    verdict: { open: 'Not judged yet', holds: 'Holds', fails: 'Does not hold' },
    steps: 'What happens',
    noSteps: 'Nothing has been played yet. What the scenario does, and what it sees of the shop, will be listed here as it happens.',
    did: 'The scenario did',
    saw: 'The shop showed',
    order: 'Order',
    letters: 'See the dead letters',
    unavailable: 'Not in this shop',
    startFailed: 'It was not started.',
    runState,
    result: (state: RunState, seconds: string) =>
      ({
        running: '',
        kept: `Everything happened as promised, in ${seconds}.`,
        broken: `Not everything happened as promised. It took ${seconds}.`,
        failed: `It could not be played to its end. It was broken off after ${seconds}.`,
      })[state],
    summary: (kept: number, played: number, all: number) => (played === 0 ? `${all} scenarios, none played yet` : `${kept} of ${played} played went as promised`),
    progress: (label: string, done: number, total: number) => `${done} of ${total} ${label}`,
    unknown: (name: string) => `There is no scenario “${name}”.`,
    back: 'All scenarios',
    parameters: 'Parameters',
    range: (min: number, max: number) => `from ${min} to ${max}`,
  },

  invariants: {
    title: 'Invariants',
    lead: 'What must hold at every moment, checked against all services while you look: first by digests of 64 numbers, then key by key where they differ. What seems wrong counts only if it is still there on a second look.',
    loading: 'Checking the invariants',
    failed: 'The invariants could not be checked',
    explain: (name: string) => invariant[name] ?? '',
    all: (n: number) => `All ${n} hold`,
    broken: (n: number, all: number) => `${n} of ${all} broken`,
    holds: 'Holds',
    fails: 'Broken',
    checked: 'Checked',
    took: (ms: number) => `, in ${ms.toLocaleString('en-GB')} ms`,
    now: 'Check now',
    checking: 'Checking …',
    figures: 'Figures',
    offenders: 'What breaks it',
    more: (n: number) => `and ${n} more`,
    stale: 'The newest check failed. What you see is from the one before.',
  },

  deadLetters: {
    title: 'Dead letters',
    lead: 'Messages that a consumer gave up. Nothing is lost: each is kept with its bytes and the reason, and can be handed back to the one group that gave it up.',
    loading: 'Loading dead letters',
    failed: 'The dead letters could not be loaded',
    filter: 'Reason',
    all: 'All',
    reason,
    reasonHint,
    state: { dead: 'Waits', redriven: 'Handed back' } as Record<string, string>,
    columns: { reason: 'Reason', event: 'Event', group: 'Consumer group', from: 'Read from', attempts: 'Attempts', failedAt: 'Given up', state: 'State' },
    noType: 'no event',
    noEvent: 'Not an event',
    empty: 'No dead letters',
    emptyHint: 'Every message was handled. The scenario “A poison message” makes some.',
    emptyLink: 'To the scenario',
    emptyFilter: 'No dead letter has this reason',
    showAll: 'Show all',
    more: 'Load more',
    moreLoading: 'Loading …',
    redrive: 'Redrive',
    redriveAll: (filter: string) => (filter === '' ? 'Redrive all …' : 'Redrive these …'),
    dialogTitle: (many: boolean) => (many ? 'Hand dead letters back?' : 'Hand this letter back?'),
    dryRun: 'This was only a dry run: nothing has happened yet.',
    asking: 'Trying what would happen …',
    nothing: 'Nothing would be handed back.',
    force: 'Also those that were handed back before, or came back too often',
    confirm: (n: number) => `Redrive ${n}`,
    outcome: (name: string, n: number) => outcome[name]?.(n) ?? `${n} ${name}`,
    done: 'Redriven',
    doneDetail: 'The group reads it now. If it fails again, it is back here as another letter.',
    refused: 'Not redriven',
    unknown: 'There is no such dead letter',
    unknownHint: 'Its retention may have ended.',
    back: 'Dead letters',
    details: 'Details',
    fields: {
      error: 'Error', group: 'Consumer group', handler: 'Handler', place: 'Read from', key: 'Key', eventId: 'Event id', attempts: 'Attempts',
      written: 'Written', failedAt: 'Given up', redrives: 'Handed back before', redrivenAt: 'Handed back',
    },
    times: (n: number) => units(n, 'time'),
    place: (topic: string, partition: number, offset: number) => `${topic}/${partition}, offset ${offset}`,
    bytes: (n: number) => units(n, 'byte'),
    raw: 'As it was read',
    rawHex: 'As it was read, in hexadecimal: it is no text',
    decoded: 'Decoded',
    undecoded: 'It is not JSON, so there is nothing to decode.',
    problems: 'What its schema says',
    noProblems: 'The event is as its schema wants it.',
    whole: 'the event as a whole',
    cut: (n: number) => `Only the beginning is kept: the message has ${units(n, 'byte')}.`,
    order: 'The order',
  },

  tasks: {
    title: 'Tasks',
    lead: 'What waits for a person: compensations that could not be done, and deliveries that are overdue.',
    loading: 'Loading tasks',
    failed: 'The tasks could not be loaded',
    filter: 'State',
    filters: { open: 'Open', all: 'All' },
    kind: taskKind,
    state: taskState,
    empty: 'Nothing waits for a person',
    emptyHint: 'When a compensation fails for good, or a parcel is overdue, it is here and not only in a log.',
    emptyAll: 'There were no tasks yet',
    retry: 'Retry',
    retryAsked: 'Asked again. The task closes itself when the compensation is done.',
    done: 'Mark as done',
    doneTitle: 'Is it settled?',
    doneQuestion: 'Mark the task as done when you have seen to it outside of the shop. Nothing else happens.',
    actionFailed: 'That did not work.',
    opened: 'Opened',
    changed: 'Changed',
    order: 'Order',
  },

  brokers: {
    title: 'Brokers',
    lead: 'Where messages are at this moment: facts in Kafka, commands on Temporal’s task queues, mails in Redis, telemetry in JetStream.',
    loading: 'Asking the brokers',
    failed: 'The brokers could not be asked',
    missing: (part: string) => parts[part] ?? `${part} does not answer.`,
    asked: 'Asked',
    topics: 'Topics of Kafka',
    groups: 'Consumer groups of Kafka',
    tasks: 'Task queues of Temporal',
    jobs: 'Queues of mails',
    streams: 'Streams of JetStream',
    none: 'None',
    internal: (n: number) => `${units(n, 'topic')} for dead letters and redrives`,
    columns: {
      topic: 'Topic', rate: 'Per second', records: 'Kept', end: 'Ever written', partitions: 'Partitions',
      group: 'Group', members: 'Members', lag: 'Lag', state: 'State', reads: 'Reads',
      queue: 'Queue', kind: 'Tasks', pollers: 'Pollers', backlog: 'Backlog', oldest: 'Oldest waits', added: 'Added per second', done: 'Done per second',
      pending: 'Pending', active: 'Active', scheduled: 'Scheduled', retry: 'Retries', archived: 'Archive', processed: 'Done today', failed: 'Failed today',
      stream: 'Stream', messages: 'Messages', bytes: 'Size',
    },
    lagBy: (topic: string, n: number) => `${topic} ${n.toLocaleString('en-GB')}`,
    mails: 'Mails, in the database',
    mail: { queued: 'Queued', retrying: 'Waiting for another attempt', sending: 'Sending', sent: 'Sent', failed: 'Given up' },
    seconds: (n: number) => (n === 0 ? '–' : `${n.toLocaleString('en-GB', { maximumFractionDigits: 1 })} s`),
  },
};
