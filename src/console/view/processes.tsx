import type { StatusView } from '../../api/schemas.ts'
import { bytes, count, duration, perSecond, unknown } from '../format.ts'

export function Processes({ status }: { status: StatusView }) {
  return (
    <section aria-labelledby="processes">
      <h2 id="processes">Gates and movers</h2>
      <div class="panel wide">
        <table class="processes">
          <thead>
            <tr>
              <th scope="col">process</th>
              <th scope="col">pid</th>
              <th scope="col">now</th>
            </tr>
          </thead>
          <tbody>
            {status.gates.map((gate) => (
              <tr key={gate.id} data-gate={gate.id}>
                <th scope="row">gate {gate.address}</th>
                <td>{gate.pid}</td>
                <td>
                  {gate.fresh
                    ? `${count(gate.sessions)} sessions, ${perSecond(gate.statementsPerSecond)}, ${count(gate.statements)} statements in all, ${count(gate.errors)} errors, ${count(gate.held)} held by switches so far`
                    : `${unknown}: it reports nothing fresh`}
                </td>
              </tr>
            ))}
            {status.movers.map((mover) => (
              <tr key={mover.id} data-mover={mover.id}>
                <th scope="row">mover</th>
                <td>{mover.pid}</td>
                <td>
                  memory {bytes(mover.rssBytes)}, up {duration(Math.max(0, status.nowMs - mover.startedAtMs))}
                </td>
              </tr>
            ))}
            {status.gates.length === 0 && <Missing what="gate" effect="clients cannot connect" />}
            {status.movers.length === 0 && <Missing what="mover" effect="streams stand still" />}
          </tbody>
        </table>
      </div>
    </section>
  )
}

function Missing({ what, effect }: { what: string; effect: string }) {
  return (
    <tr>
      <th scope="row">{what}</th>
      <td />
      <td class="bad">none is registered: {effect}</td>
    </tr>
  )
}
