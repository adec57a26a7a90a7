package outbox

import "context"

// poll hands over what is unsent in one snapshot and moves the cursor in memory.
// It returns how many rows it handed over. Before, it waits until half of the
// memory is free, so that it seldom has to wait while it holds a snapshot.
func (p *pipe) poll(ctx context.Context) (int, error) {
	if p.cur.ours.count() == 0 {
		p.cur.caughtUp = true
		return 0, nil
	}
	e := p.flight.begin()
	main := p.newLoad(e)
	if err := main.await(ctx); err != nil {
		return 0, err
	}
	views, loads := p.resume()
	l, err := p.r.look(ctx, p.conn, p.cur, func(o row, topic string) error {
		if p.asides[topic] != nil {
			return nil
		}
		return main.add(ctx, o, topic)
	}, views...)
	if err == nil {
		err = main.hand(ctx)
	}
	if err != nil {
		return 0, err
	}
	p.cur.finish(l)
	rows := main.sum
	for i, v := range views {
		rows += loads[i].sum
		p.resumed(v, loads[i])
	}
	p.flight.end(e, p.cur)
	return rows, nil
}

func (p *pipe) hand(e *entry, b *batch) {
	p.r.batches++
	b.no = p.r.batches
	b.gone = p.over.Load
	b.left.Store(int64(len(b.rows)))
	b.done = func(b *batch) {
		p.r.budget.free(b)
		p.r.figures.count(int64(len(b.rows) - len(b.refused)))
		p.flight.answered(e, b)
	}
	p.flight.add(e)
	p.r.budget.hold(b)
	p.r.lane(b.topic).hand(b)
}

// load is rows of a poll on their way to the lanes.
type load struct {
	p     *pipe
	e     *entry
	chunk map[string]*batch
	usage                    // of the chunk
	seqs  map[string][]int64 // that were handed over
	sum   int                // of them
	short bool               // not all that was found had room
}

func (p *pipe) newLoad(e *entry) *load {
	return &load{p: p, e: e, chunk: map[string]*batch{}, seqs: map[string][]int64{}}
}

// memory is about what a row takes until it is answered.
func (o *row) memory() int { return len(o.Payload) + len(o.Key) + 60*cap(o.Headers) }

// add takes a row, and hands over what is a chunk.
func (l *load) add(ctx context.Context, o row, topic string) error {
	n := o.memory()
	if l.full(n) {
		if err := l.hand(ctx); err != nil {
			return err
		}
		if l.p.asides[topic] != nil {
			return nil // since this moment
		}
	}
	l.put(o, topic, n)
	return nil
}

func (l *load) full(next int) bool {
	return l.rows > 0 && (l.rows >= l.p.r.chunkRows || l.size+next > chunkSize)
}

func (l *load) put(o row, topic string, n int) {
	b := l.chunk[topic]
	if b == nil {
		b = &batch{topic: topic}
		l.chunk[topic] = b
	}
	b.rows, b.size = append(b.rows, o), b.size+n
	l.usage.add(1, n)
}

// hand hands the chunk over when there is room for it.
func (l *load) hand(ctx context.Context) error {
	for l.rows > 0 {
		room, err := l.p.r.budget.await(ctx, l.rows, l.size, l.p.r.patience)
		if err != nil {
			return err
		}
		if room {
			l.pass()
			return nil
		}
		l.setAside()
	}
	return nil
}

// pass hands the chunk over.
func (l *load) pass() {
	for topic, b := range l.chunk {
		for i := range b.rows {
			l.seqs[topic] = append(l.seqs[topic], b.rows[i].seq)
		}
		l.sum += len(b.rows)
		l.p.hand(l.e, b)
	}
	clear(l.chunk)
	l.usage = usage{}
}

// await waits until half of the memory is free.
func (l *load) await(ctx context.Context) error {
	b := l.p.r.budget
	for {
		room, err := b.await(ctx, b.maxRows/2, b.maxSize/2, l.p.r.patience)
		if err != nil || room {
			return err
		}
		l.setAside()
	}
}
