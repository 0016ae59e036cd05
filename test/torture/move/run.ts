/** `npm run torture:move`: see README.md. What is done follows from the seed; the instants are those of the machine. */
import { parseArgs } from 'node:util'
import { systemClock as clock } from '../../../src/base/clock.ts'
import type { FlavourName } from '../../../src/mysql/connection.ts'
import { Dice } from './random.ts'
import { round, type RoundFigures, type RoundOptions } from './round.ts'
import { Field } from './servers.ts'

const pairings: Readonly<Record<string, readonly [FlavourName, FlavourName]>> = {
  mariadb: ['mariadb', 'mariadb'],
  mysql: ['mysql', 'mysql'],
  'mariadb-mysql': ['mariadb', 'mysql'],
  'mysql-mariadb': ['mysql', 'mariadb'],
}
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    minutes: { type: 'string', default: '3' },
    flavour: { type: 'string', default: 'mariadb' },
    'round-seconds': { type: 'string', default: '25' },
    'no-faults': { type: 'boolean', default: false },
    rounds: { type: 'string', default: '0' },
    from: { type: 'string', default: '1' },
    hold: { type: 'boolean', default: false },
    servers: { type: 'string', default: 'dice' },
  },
})
const pairing = pairings[values.flavour]
const servers = { one: 'one', two: 'two', dice: 'by the dice' }[values.servers] as RoundOptions['servers'] | undefined
if (servers === undefined) throw new Error('--servers is one, two or dice')
if (pairing === undefined) throw new Error(`--flavour is one of ${Object.keys(pairings).join(', ')}`)
const startedMs = clock.monotonicMs()
const endMs = startedMs + Number(values.minutes) * 60_000
const say = (line: string): void =>
  void process.stdout.write(`${((clock.monotonicMs() - startedMs) / 1000).toFixed(1).padStart(7)} s  ${line}\n`)
const again = `npm run torture:move -- --seed ${values.seed} --minutes ${values.minutes} --flavour ${values.flavour}${values.servers === 'dice' ? '' : ` --servers ${values.servers}`}`
say(`seed ${values.seed}; again: ${again}`)
const dice = new Dice(Number(values.seed))
const total: RoundFigures[] = []
const field = await Field.start(...pairing)
void field.watch(say)
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void field[Symbol.asyncDispose]().finally(() => process.exit(130)))
const onFailure = async (error: unknown): Promise<void> => {
  for (const mover of field.movers.values()) mover.kill('SIGUSR2')
  await clock.sleep(500)
  if (!values.hold) return
  say(`${String(error)}\nheld for half an hour: ${field.ports()}, ${field.dir}, pid ${process.pid}`)
  await clock.sleep(1_800_000)
}
let number = 0
try {
  while (clock.monotonicMs() < endMs && (values.rounds === '0' || total.length < Number(values.rounds))) {
    number++
    const seed = dice.seed()
    if (number < Number(values.from)) continue
    total.push(
      await round({
        field,
        seed,
        number,
        endMs,
        roundMs: Number(values['round-seconds']) * 1000,
        say,
        faults: !values['no-faults'],
        servers,
        onFailure,
      }),
    )
  }
  const sum = (of: (figures: RoundFigures) => number): number => total.reduce((n, figures) => n + of(figures), 0)
  say(
    `passed: ${total.length} rounds, ${sum(({ tables }) => tables)} tables, ${sum(({ rows }) => rows)} rows equal byte for byte, ${sum(({ transactions }) => transactions)} transactions, ${sum(({ xa }) => xa)} XA, ` +
      `${sum(({ harms }) => harms)} harms, ${sum(({ vdiffs }) => vdiffs)} vdiffs of ${sum(({ vdiffRows }) => vdiffRows)} rows without a difference, ` +
      `redone after ${sum(({ resumes }) => resumes)} resumes ${sum(({ redoneRows }) => redoneRows)} rows and ${sum(({ redoneTransactions }) => redoneTransactions)} transactions; ` +
      `two source servers in ${sum(({ twoSourceServers }) => twoSourceServers)} rounds, two target servers in ${sum(({ twoTargetServers }) => twoTargetServers)}` +
      (field.ownEnds === 0 ? '' : `; servers ended themselves ${field.ownEnds} times`),
  )
} catch (error) {
  process.stdout.write(
    `${error instanceof Error ? error.stack : String(error)}\nFAILED  in round ${number}; seed ${values.seed}; again: ${again} --from ${number}\n`,
  )
  process.exitCode = 1
} finally {
  await field[Symbol.asyncDispose]()
}
process.exit()
