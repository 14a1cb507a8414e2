// One question at a time: while one is under way only the newest of the others waits, and an answer to a question that
// has been overtaken is dropped.

export class Newest {
  #ask;
  #use;
  #waiting = null;
  #busy = false;
  #count = 0;

  /** ask(question) -> promise of an answer, never rejected; use(answer, question) is given the newest one. */
  constructor(ask, use) {
    this.#ask = ask;
    this.#use = use;
  }

  async put(question) {
    this.#count++;
    this.#waiting = { question };
    if (this.#busy) return;
    this.#busy = true;
    try {
      while (this.#waiting) {
        const { question: now } = this.#waiting;
        const count = this.#count;
        this.#waiting = null;
        const answer = await this.#ask(now);
        if (count === this.#count) this.#use(answer, now);
      }
    } finally {
      this.#busy = false;
    }
  }

  /** Forgets what waits, and the answer that is on its way. */
  drop() {
    this.#count++;
    this.#waiting = null;
  }
}
