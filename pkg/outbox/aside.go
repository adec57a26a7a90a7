package outbox

// aside is a topic whose rows fill the memory and are not answered: it is missing,
// or we may not write to it. So that it does not hold up the others, its rows are
// passed over, and read again from where that began when it moves again. What is
// stored stays before that place until it has caught up.
type aside struct {
	topic string
	cur   *cursor
	sent  map[int64]bool // rows behind the cursor that were handed over
	first *entry         // in which its rows were first passed over
}

// setAside sets those topics aside that are to blame that there is no room.
func (l *load) setAside() {
	p := l.p
	for _, topic := range p.r.budget.setAside(p.r.patience) {
		at := *p.cur
		at.caughtUp, at.busy = false, Shards
		a := &aside{topic: topic, cur: &at, sent: map[int64]bool{}, first: l.e}
		for _, seq := range l.seqs[topic] {
			a.sent[seq] = true
		}
		p.asides[topic] = a
		p.flight.add(a.first)
		if b := l.chunk[topic]; b != nil {
			l.usage.add(-len(b.rows), -b.size)
			delete(l.chunk, topic)
		}
		p.r.log.WarnContext(p.r.ctx, "Kafka answers nothing about a topic; facts of others go on before it", "topic", topic)
	}
}

// caughtUp says that the next poll can wait.
func (p *pipe) caughtUp() bool {
	if !p.cur.caughtUp {
		return false
	}
	for _, a := range p.asides {
		if p.moves(a) {
			return false
		}
	}
	return true
}

// moves says that a topic has room for more.
func (p *pipe) moves(a *aside) bool {
	b := p.r.budget
	return b.fits(b.of(a.topic), b.maxRows/2, b.maxSize/2)
}

// resume has the next poll read, in its snapshot, also what was passed over of
// topics that move again.
func (p *pipe) resume() (views []*view, loads []*load) {
	for _, a := range p.asides {
		if !p.moves(a) {
			continue
		}
		l := p.newLoad(a.first)
		b := p.r.budget
		views = append(views, &view{cur: a.cur, topic: a.topic, each: func(o row, topic string) error {
			n := o.memory()
			has := b.of(a.topic)
			has.add(l.rows, l.size)
			switch {
			case topic != a.topic || a.sent[o.seq]:
				return nil
			case l.short || !b.fits(has, 1, n):
				l.short = true
				return nil
			case l.full(n):
				l.pass()
			}
			l.put(o, topic, n)
			return nil
		}})
		loads = append(loads, l)
	}
	return views, loads
}

// resumed ends that. When neither the topic nor the others have more in the
// snapshot, which both have seen, it is one of them again.
func (p *pipe) resumed(v *view, l *load) {
	l.pass()
	a := p.asides[v.topic]
	if l.short {
		for _, seq := range l.seqs[v.topic] {
			a.sent[seq] = true
		}
		return
	}
	a.cur.finish(&v.look)
	if !a.cur.caughtUp {
		return
	}
	clear(a.sent)
	if !p.cur.caughtUp {
		return // and would come to the same rows
	}
	delete(p.asides, v.topic)
	p.r.budget.readmit(v.topic)
	p.flight.readmitted(a.first)
	p.r.log.InfoContext(p.r.ctx, "a topic has caught up with the others", "topic", v.topic)
}
