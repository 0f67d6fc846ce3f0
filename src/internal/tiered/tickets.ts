/**
 * What is under way, by the name of what it is about: who changes a thing tells
 * those that have begun before, who then must not keep what they bring.
 */
export class Ticket {
  isSpoiled = false
  constructor(readonly name: string) {}
}

export class Tickets {
  private readonly open = new Map<string, Set<Ticket>>()

  /** How many are under way. */
  get size(): number {
    let size = 0
    for (const tickets of this.open.values()) size += tickets.size
    return size
  }

  begin(name: string): Ticket {
    const ticket = new Ticket(name)
    const present = this.open.get(name)
    if (present === undefined) this.open.set(name, new Set([ticket]))
    else present.add(ticket)
    return ticket
  }

  end(ticket: Ticket): void {
    const present = this.open.get(ticket.name)
    if (present?.delete(ticket) === true && present.size === 0) this.open.delete(ticket.name)
  }

  /** Spoils what is under way for the name, but for `own`. */
  spoil(name: string, own?: Ticket): void {
    for (const ticket of this.open.get(name) ?? []) if (ticket !== own) ticket.isSpoiled = true
  }

  spoilPrefix(prefix: string): void {
    for (const name of this.open.keys()) if (name.startsWith(prefix)) this.spoil(name)
  }
}
