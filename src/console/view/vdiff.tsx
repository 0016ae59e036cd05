import type { VdiffView } from '../../api/schemas.ts'
import { count, duration, perSecond, percent, unknown } from '../format.ts'
import { ErrorNote } from './notes.tsx'
import { ProgressBar } from './progress-bar.tsx'
import { ScrollBox } from './scroll-box.tsx'

const kinds = ['missing', 'extra', 'misplaced', 'different'] as const

export function Vdiff({ vdiff }: { vdiff: VdiffView }) {
  const running = vdiff.state === 'running'
  const share = vdiff.rowsEstimated <= 0 ? null : Math.min(vdiff.rowsCompared / vdiff.rowsEstimated, 0.999)
  const tookMs = vdiff.startedAtMs !== null && vdiff.endedAtMs !== null ? vdiff.endedAtMs - vdiff.startedAtMs : null
  const differing = vdiff.tables.filter((table) => kinds.some((kind) => table[kind] > 0) || (table.orphans ?? 0) > 0)
  return (
    <section class="part" data-part="vdiff">
      <h4>
        vdiff <span class={`badge state-${vdiff.state}`}>{vdiff.state}</span>
        <small class="muted">
          {vdiff.pass !== null && `continuous, pass ${vdiff.pass}: `}
          {vdiff.state === 'pending'
            ? 'asked for; the movers take it up'
            : `${count(vdiff.rowsCompared)}${running ? ` of about ${vdiff.rowsEstimated > 0 ? count(vdiff.rowsEstimated) : unknown}` : ''} rows compared`}
          {running && `, ${perSecond(vdiff.rowsPerSecond)}, time left ${duration(vdiff.etaMs)}`}
          {tookMs !== null && ` in ${duration(tookMs)}`}
          {vdiff.repairedRows > 0 && `, ${count(vdiff.repairedRows)} repaired`}
        </small>
      </h4>
      {running && <ProgressBar label={`rows compared: ${percent(share)}`} share={share} />}
      {vdiff.error !== null && <ErrorNote error={vdiff.error} />}
      {differing.length > 0 && (
        <ScrollBox label="differences">
          <table>
            <thead>
              <tr>
                <th scope="col">table</th>
                {kinds.map((kind) => (
                  <th scope="col" key={kind}>
                    {kind}
                  </th>
                ))}
                <th scope="col">for example</th>
              </tr>
            </thead>
            <tbody>
              {differing.map((table) => (
                <tr key={table.name}>
                  <th scope="row">{table.name}</th>
                  {kinds.map((kind) => (
                    <td key={kind} class={table[kind] > 0 ? 'bad' : ''}>
                      {count(table[kind])}
                    </td>
                  ))}
                  <td class="muted">
                    {table.samples.slice(0, 3).map((sample) => (
                      <div key={`${sample.kind} ${sample.key}`}>
                        {sample.kind}: <code>{sample.key}</code> on <code>{sample.shard}</code> {sample.columns.join(', ')}
                      </div>
                    ))}
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </ScrollBox>
      )}
    </section>
  )
}
