package tree

import "sync"

// task is what a worker does at a time: copy some names of a directory or, if
// there are none, list the directory's next ones.
type task struct {
	dir   *dir
	names []string
}

// queue holds the tasks to do, last in, first out: so a tree is walked into its
// depth, and what waits is a few names for each level and not a whole level.
//
// Workers never wait for room in it, so it cannot lock up. That it stays small is
// the listing's doing, which puts its own continuation below what it found.
type queue struct {
	mu     sync.Mutex
	some   sync.Cond
	tasks  []task
	closed bool
}

func (q *queue) init() { q.some.L = &q.mu }

func (q *queue) push(tasks ...task) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.tasks = append(q.tasks, tasks...)
	if len(tasks) == 1 {
		q.some.Signal()
	} else {
		q.some.Broadcast()
	}
}

// pop waits for a task; ok is false once the queue is closed.
func (q *queue) pop() (t task, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.tasks) == 0 && !q.closed {
		q.some.Wait()
	}
	if q.closed {
		return task{}, false
	}
	last := len(q.tasks) - 1
	t, q.tasks[last] = q.tasks[last], task{}
	q.tasks = q.tasks[:last]
	return t, true
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed, q.tasks = true, nil
	q.some.Broadcast()
}
