/**
 * Random model of the traffic switch (PROTOCOLS 3). Sources S and targets T (one or two each), streams both ways, gates, clients
 * that bypass them, two controllers that stop anywhere and wake up late, restarts, lost answers; then calm, and the promises
 * are checked:
 *
 * 1. each acknowledged write exactly once, in order;
 * 2. never two sides accept;
 * 3. it ends and writes are accepted; what serves is open whenever the phase is stable;
 * 4. the other side has all;
 * 5. no refusal is applied;
 * 6. what a user trigger does is done once for each write.
 *
 * A row is the list of writes applied to it; a server may take a client's next write only if its row has all writes that any
 * server took for that key. Each rule of `switchRules` can be taken out.
 *
 * In some runs user triggers stand on the table and move with the switch (step 10; docs/decisions/006).
 *
 * Controllers are written here (`switch.controller.ts`): it is a proof of the rules, each of which can be taken out, and says nothing of the code. `switch.code.ts` has the same world with controllers that are the room's own code.
 *
 * Not here: reads, the copy, lanes, failover to a replica, a controller's partition from one server only, clients with the
 * admin privilege, fencing by triggers or SET PERSIST, accounts or servers that someone else opens or closes.
 */
import { client, moveSome, sameWrites, type MoverMemory } from './switch.clients.ts'
import { controller } from './switch.controller.ts'
import { Broken, keyCount, otherSide, World, type Server, type SwitchOptions, type SwitchRule } from './switch.world.ts'

const stormSteps = 1_200
const calmSteps = 4_000
const writesAtOnce = 8

export type SwitchResult = { readonly broken: string | null; readonly switches: number }

export function runSwitch(
  seed: number,
  without: readonly SwitchRule[],
  options: SwitchOptions = {},
  trace?: (line: string) => void,
): SwitchResult {
  const world = new World(seed, without, options, trace)
  const controllers: [Generator<void>, Generator<void>] = [controller(world, 0), controller(world, 1)]
  const die = (i: 0 | 1): void => {
    controllers[i].return(undefined)
    controllers[i] = controller(world, i)
  }
  try {
    for (const i of live(world, die)) controllers[i].next()
    checkEnd(world)
    return { broken: null, switches: world.record.epoch }
  } catch (error) {
    if (!(error instanceof Broken)) throw error
    return { broken: error.message, switches: world.record.epoch }
  }
}

/** Yields which controller's turn it is. */
export function* live(world: World, die: (controller: 0 | 1) => void): Generator<0 | 1, void> {
  const { random, record, servers, gates } = world
  const movers: MoverMemory[] = [new Map(), new Map()]
  const stalledUntil = new Map<Server, Map<Server, number>>(servers.map((server) => [server, new Map()]))
  const writes: Generator<void>[] = []
  let written = 0

  const harm = (): void => {
    const kind = random.unit()
    const i = random.below(2) as 0 | 1
    const gate = random.pick(gates)
    const server = random.pick(servers)
    if (kind < 0.25) {
      world.nap(i, 1)
    } else if (kind < 0.38) {
      stalledUntil.get(random.pick(servers))?.set(server, world.now + random.pick([100, 300]))
    } else if (kind < 0.5) {
      // Its connections may linger half open.
      world.say(`controller ${i} dies`)
      die(i)
      if (world.lease.leader === i) world.lease.leader = null
      if (world.chance(0.6)) for (const each of servers) each.killSessions((session) => session.controller === i)
    } else if (kind < 0.6) {
      for (const each of servers) each.killSessions((session) => each.tableLocks.has(session))
      world.say('lock sessions are lost')
    } else if (kind < 0.67) {
      server.crash()
      world.say(`crash ${server.name}`)
    } else if (kind < 0.7) {
      world.restart(server)
    } else if (kind < 0.78) {
      gate.cut = !gate.cut
    } else if (kind < 0.86) {
      gate.alive = !gate.alive
      if (gate.alive) gate.seen = { ...record }
    } else if (record.phase === 'stable' && record.goal < world.goals.length) {
      record.goal++
      record.version++
      world.say('operator withdraws a request')
    }
  }
  const restartDown = (): void => {
    for (const server of servers) if (!server.up) world.restart(server)
  }
  const isQuiet = (): boolean =>
    record.phase === 'stable' &&
    record.goal >= world.goals.length &&
    writes.length === 0 &&
    !world.sides[record.serving].some(({ readOnly, locked }) => readOnly || locked) &&
    // No stream writes to the side that serves while triggers stand there, nor need it.
    servers.every(
      (target) =>
        (target.triggers && target.side === record.serving) ||
        [...target.progress].every(([source, position]) => source.dropped || position >= source.log.length),
    )

  for (world.now = 0; world.now < stormSteps + calmSteps; world.now++) {
    if (world.now === stormSteps) {
      world.calm = true
      world.asleep.fill(0)
      world.say('calm')
      restartDown()
      for (const gate of gates) Object.assign(gate, { alive: true, cut: false })
    }
    const choice = random.unit()
    if (!world.calm && choice < world.rage) {
      harm()
    } else if (choice < 0.06 && world.chance(0.5)) {
      restartDown()
    } else if (choice < 0.5) {
      const i = random.below(2) as 0 | 1
      if (world.asleep[i] <= world.now) yield i
    } else if (choice < 0.72) {
      moveSome(world, random.pick(movers), stalledUntil)
    } else if (choice < 0.8) {
      const gate = random.pick(gates)
      if (gate.alive && !gate.cut) gate.seen = { ...record }
    } else if (writes.length > 0 && (choice < 0.95 || world.calm)) {
      const i = random.below(writes.length)
      if ((writes[i] as Generator<void>).next().done === true) writes.splice(i, 1)
    } else if (writes.length < writesAtOnce && !world.calm) {
      writes.push(client(world, ++written))
    }
    if (world.calm && world.now % 8 === 0 && isQuiet()) return
  }
  throw new Broken('3 never ends, or stays closed')
}

export function checkEnd(world: World): void {
  const { record, accepted } = world
  for (let key = 0; key < keyCount; key++) {
    const serving = world.at(record.serving, key)
    const other = world.at(otherSide[record.serving], key)
    const writes = accepted[key] as number[]
    if (serving.readOnly || serving.locked || serving.tableLocks.size > 0 || record.hold) throw new Broken('3 writes are not accepted')
    if (world.moves && !serving.dropped && !sameWrites(serving.fired[key] as number[], writes))
      throw new Broken('6 a trigger did not do its part')
    if (serving.dropped || !sameWrites(serving.rows[key] as number[], writes)) throw new Broken('1 serving side differs')
    if (!record.retired && other.progress.size > 0 && !sameWrites(other.rows[key] as number[], writes)) {
      throw new Broken('4 the other side differs: no way back')
    }
  }
  for (const write of world.acknowledged) if (!world.acceptedSet.has(write)) throw new Broken('1 acknowledged, never applied')
}
