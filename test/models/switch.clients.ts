/** Clients (through gates, or past them) and streams of the switch model. */
import { Broken, keyCount, type Connection, type Gate, type Server, type World } from './switch.world.ts'

type Answer = 'ok' | 'refused' | 'unknown'
/** Of one attempt: done; refused by a fence (1290, 4151); its COMMIT met the fence; no answer. */
type Outcome = 'ok' | 'fenced' | 'met' | 'lost'

/** One write of one client, from the first attempt to the answer it gets. */
export function* client(world: World, write: number): Generator<void> {
  const key = world.random.below(keyCount)
  const inTransaction = world.chance(0.4)
  const keys = inTransaction ? [key, (key + 2) % keyCount] : [key]
  const gate = world.chance(0.25) ? null : world.random.pick(world.gates)
  let told = false
  const tell = (answer: Answer): void => {
    if (!told && answer === 'refused' && world.acceptedSet.has(write)) throw new Broken('5 applied, then refused')
    if (!told && (gate === null || gate.alive)) {
      if (answer === 'ok') world.acknowledged.add(write)
      if (answer === 'refused') world.refused.add(write)
    }
    told = true
  }
  for (let attempt = 0; attempt < 5; attempt++) {
    let server: Server
    if (gate === null) {
      server = world.at(world.random.pick(['S', 'T'] as const), key)
    } else {
      // Buffered, within bounds.
      for (let left = 30; left > 0; left--) if (gate.seen.hold && gate.alive) yield
      if (!gate.alive || gate.seen.hold) return tell('refused')
      server = world.at(gate.seen.serving, key)
    }
    if (!server.up) return tell('refused')
    const outcome = yield* execute(world, server, gate, keys, write, inTransaction, tell)
    if (outcome === 'ok') return tell('ok')
    // MySQL says OK to a second COMMIT, though nothing is kept.
    if (outcome === 'met') return tell(server.mysql && !world.has('rollback1290') ? 'ok' : 'refused')
    if (outcome === 'lost' && (gate === null || world.has('noBlindRetry'))) return tell('unknown')
    if (told || gate === null) break
    if (!gate.cut) gate.seen = { ...world.record }
    yield
  }
  tell('refused')
}

function* execute(
  world: World,
  server: Server,
  gate: Gate | null,
  keys: readonly number[],
  write: number,
  inTransaction: boolean,
  tell: (answer: Answer) => void,
): Generator<void, Outcome> {
  let connection = server.connections.find(({ owner, busy }) => owner === gate && !busy)
  if (connection === undefined || world.chance(0.3)) {
    // 4151 or 3118: nothing was sent.
    if (server.locked) return 'fenced'
    connection = { server, owner: gate, busy: true, killed: false }
    server.connections.push(connection)
  }
  const mine: Connection = connection
  const isOpen = (): boolean => server.connections.includes(mine)
  // A killed session's last statement may still go through.
  const isLate = (): boolean => !isOpen() || (mine.killed && world.chance(0.6))
  mine.busy = true
  // On its way to the server, perhaps for long.
  yield
  while (isOpen() && !mine.killed && server.tableLocks.size > 0) {
    if (world.chance(0.1)) tell(world.has('answerOnly') ? 'unknown' : 'refused')
    yield
  }
  let outcome: Outcome | null = null
  if (isLate()) {
    outcome = 'lost'
  } else if (server.readOnly) {
    outcome = 'fenced'
  } else if (inTransaction) {
    server.transactions.add(write)
    yield
    if (!server.transactions.has(write) || isLate() || gate?.alive === false) outcome = 'lost'
    server.transactions.delete(write)
    if (outcome === null && server.readOnly) {
      world.say(`COMMIT of ${write} met the fence of ${server.name}`)
      outcome = 'met'
    }
  }
  if (outcome === null) {
    commit(world, server, keys, write)
    outcome = mine.killed || (!world.calm && world.chance(0.1)) ? 'lost' : 'ok'
  }
  mine.busy = false
  server.settle(mine)
  return outcome
}

/** A server takes a client's write: only if its row has every write that any server took before. */
function commit(world: World, server: Server, keys: readonly number[], write: number): void {
  for (const key of keys) {
    const row = server.rows[key] as number[]
    const accepted = world.accepted[key] as number[]
    if (world.refused.has(write)) throw new Broken('5 refused, then applied')
    if (accepted.includes(write)) throw new Broken('1 applied twice')
    if (server.dropped) throw new Broken('1 accepted by a dropped side')
    if (!sameWrites(row, accepted)) throw new Broken('2 accepted without what the other side accepted')
    if (world.moves && !server.triggers) throw new Broken('6 accepted without what its trigger does')
    row.push(write)
    if (server.triggers) server.fired[key]?.push(write)
    accepted.push(write)
    world.acceptedSet.add(write)
    server.log.push({ key, write, mark: null })
  }
  world.say(`client write ${write}, key ${keys[0]}, committed on ${server.name}`)
}

export function sameWrites(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((write, i) => write === b[i])
}

/** A mover's memory of the positions it read; two movers may live at once. */
export type MoverMemory = Map<Server, Map<Server, number>>

/** A few steps of one stream, chosen at random. */
export function moveSome(world: World, memory: MoverMemory, stalledUntil: ReadonlyMap<Server, ReadonlyMap<Server, number>>): void {
  const target = world.random.pick(world.servers)
  if (target.progress.size === 0) return
  const source = world.random.pick([...target.progress.keys()])
  if (target.triggers && world.has('roundsWithout')) return
  if (!source.up || !target.up || source.dropped || (target.weak && target.readOnly)) return
  if (!world.calm && (stalledUntil.get(source)?.get(target) ?? 0) > world.now) return
  let positions = memory.get(source)
  if (positions === undefined) memory.set(source, (positions = new Map()))
  if (!positions.has(target) || world.chance(0.2)) positions.set(target, target.progress.get(source) as number)
  for (let left = 4; left > 0; left--) {
    const position = positions.get(target) as number
    const entry = source.log[position]
    if (entry === undefined || (world.has('progressCas') && target.progress.get(source) !== position)) {
      positions.delete(target)
      return
    }
    const { key, write, mark } = entry
    if (write !== null && world.at(target.side, key) === target && !(mark !== null && world.has('origin'))) {
      // 1205 behind our own table locks; tried again.
      if (target.tableLocks.size > 0) return
      const row = target.rows[key] as number[]
      if (row.includes(write)) throw new Broken('1 applied twice')
      world.say(`stream applies ${write} on ${target.name}`)
      row.push(write)
      if (world.moves) target.fired[key]?.push(write)
      if (target.triggers) throw new Broken('6 a trigger did again what its row event says')
      target.log.push({ key, write, mark: source.name })
    }
    positions.set(target, position + 1)
    target.progress.set(source, position + 1)
  }
}
