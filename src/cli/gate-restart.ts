/** `gate restart`: one gate after another, each once the one before is done. */
import type { Command } from 'commander'
import { apiErrors } from '../api/errors.ts'
import type { GateRestartView } from '../api/gate-schemas.ts'
import type { GateView } from '../api/schemas.ts'
import type { CliContext } from './context.ts'
import { cliErrors } from './errors.ts'
import { text, type Flags } from './flags.ts'
import { count, duration } from './text.ts'

const askEveryMs = 200
/** Beside the time that its transactions have. */
const lostAfterMs = 30_000

export function gateRestartCommand(gate: Command, cli: CliContext): void {
  gate
    .command('restart')
    .description('another process in the place of each gate, one after another: no client is refused, transactions come to their COMMIT')
    .option('--gate <id>', 'this one only')
    .option('--format <format>', 'text | json')
    .action(async (flags: Flags) => {
      const json = text(flags, 'format') === 'json'
      const done: GateRestartView[] = []
      const chosen = await chosenGates(cli, text(flags, 'gate'))
      for (const one of chosen) {
        const restart = await restarted(cli, one.id)
        cli.live?.('')
        if (restart === null) {
          cli.err(`detached: ${one.id} is being restarted; ${chosen.length - done.length - 1} more were to be`)
          break
        }
        if (restart.state === 'failed')
          throw cliErrors.gateNotRestarted({ gate: one.id, problem: restart.problem, done: done.length, all: chosen.length })
        done.push(restart)
        if (!json) cli.out(doneLine(restart))
      }
      if (json) cli.out(JSON.stringify(done, null, 2))
    })
}

async function chosenGates(cli: CliContext, id: string | undefined): Promise<GateView[]> {
  const all = await cli.client().call('listGates')
  const chosen = all.filter((gate) => gate.id === (id ?? gate.id))
  if (chosen.length === 0) throw apiErrors.notFound({ kind: 'gate', name: id ?? 'that runs', list: 'shardwright gate status' })
  return chosen
}

/** Null: Ctrl-C. Errors: of the request (SW-CONTROL-007), SW-CLI-009 nobody says any more how far it is. */
async function restarted(cli: CliContext, id: string): Promise<GateRestartView | null> {
  cli.live?.(`${id}: asking for another process in its place`)
  let restart = await cli.client().call('restartGate', { gate: id }, { actor: cli.actor })
  while (restart.state !== 'done' && restart.state !== 'failed') {
    const inStateMs = cli.clock.nowMs() - restart.sinceMs
    const gates = await cli.client().call('listGates')
    cli.live?.(
      waitLine(
        restart,
        gates.find((gate) => gate.id === id),
      ),
    )
    if (inStateMs > (restart.drainMs ?? 0) + lostAfterMs)
      throw cliErrors.gateRestartLost({ gate: id, state: restart.state, seconds: Math.round(inStateMs / 1000) })
    if (cli.interrupted.aborted) return null
    await cli.clock.sleep(askEveryMs)
    restart = (await cli.client().call('listGateRestarts')).find((one) => one.gate === id) ?? restart
  }
  return restart
}

function waitLine({ gate, state, next, drainMs }: GateRestartView, now: GateView | undefined): string {
  if (state !== 'draining') return `${gate}: another process is being started in its place`
  const left = now?.fresh === true ? `${count(now.sessions)} sessions with something open` : 'sessions with something open'
  return `${gate}: ${next} serves in its place; waits for ${left}, ${duration(drainMs)} at most`
}

function doneLine({ gate, next, drained }: GateRestartView): string {
  const what =
    drained === null
      ? 'what came of its sessions is unknown: it was killed'
      : `${count(drained.sessions)} sessions ended in ${duration(drained.ms)}${drained.cut === 0 ? '' : `, ${count(drained.cut)} of them cut off and rolled back at the end of that time`}`
  return `${gate} → ${next}  ${what}`
}
