import type { DualWriteView } from '../../api/dualwrite-schemas.ts'
import { clockTime, count, duration, percent, unknown } from '../format.ts'
import { ProgressBar } from './progress-bar.tsx'
import { ScrollBox } from './scroll-box.tsx'

/** A dual-write run: how full the branch is, how far readers are, what was shown, and for how long there is a way back. */
export function DualWrite({ run, nowMs }: { run: DualWriteView; nowMs: number }) {
  return (
    <section class="part" data-part="dual-write">
      <Coverage run={run} nowMs={nowMs} />
      <Dimensions run={run} />
      <Reads run={run} nowMs={nowMs} />
      <Evidence run={run} />
      <Writers run={run} />
      <p class="muted" data-part="horizon">
        {horizon(run, nowMs)}
      </p>
    </section>
  )
}

function Coverage({ run, nowMs }: { run: DualWriteView; nowMs: number }) {
  const { coverage } = run
  const share = coverage === null || coverage.percent === null ? null : coverage.percent / 100
  const readyInMs = coverage === null || coverage.readyAtMs === null ? null : Math.max(0, coverage.readyAtMs - nowMs)
  return (
    <>
      <h4>
        filled <span class="badge">{percent(share)}</span>
        <small class="muted">
          {coverage === null ? unknown : coverage.because}
          {readyInMs !== 0 && `, ready in ${duration(readyInMs)}`}, lag {coverage?.lag ?? unknown}
        </small>
      </h4>
      <ProgressBar label={`the retention window that ${run.toBranch} holds: ${percent(share)}`} share={share} />
    </>
  )
}

/** Of a hybrid run: what is copied beside the topic. */
function Dimensions({ run }: { run: DualWriteView }) {
  const { dimensions } = run
  if (dimensions === null) return null
  const { state, because, rowsDone, rowsEstimated, tables } = dimensions
  return (
    <p class={state === 'failed' ? 'bad' : 'muted'} data-part="dimensions">
      dimension tables {tables.map(({ table }) => table).join(', ')}: {state}
      {state === 'copying' && `, ${count(rowsDone)} of about ${count(rowsEstimated)} rows`} ({because})
    </p>
  )
}

function Reads({ run, nowMs }: { run: DualWriteView; nowMs: number }) {
  const { auto, reads } = run
  const figures = (name: string, one: DualWriteView['reads']['old']): string =>
    one.reads === 0 ? `${name}: none` : `${name}: ${count(one.reads)} reads, ${count(one.errors)} errors, p95 ${duration(one.p95Ms)}`
  return (
    <>
      <h4>
        reads on {run.toBranch} <span class="badge">{Math.round(run.readsPercent * 100) / 100} %</span>
        <small class="muted">
          {figures('old', reads.old)}; {figures('new', reads.new)}
          {auto !== null && `; automatic: ${auto.state}${auto.why === null ? '' : `, ${auto.why}`}`}
          {auto !== null &&
            auto.state === 'running' &&
            auto.nextStepAtMs > nowMs &&
            `, next step in ${duration(auto.nextStepAtMs - nowMs)}`}
        </small>
      </h4>
      <ProgressBar label={`tenants that read ${run.toBranch}: ${run.readsPercent} %`} share={run.readsPercent / 100} />
    </>
  )
}

function Evidence({ run }: { run: DualWriteView }) {
  if (run.evidence.length === 0) return null
  return (
    <ScrollBox label="evidence">
      <table>
        <thead>
          <tr>
            <th scope="col">rung</th>
            <th scope="col">verdict</th>
            <th scope="col">when</th>
            <th scope="col">what was seen</th>
          </tr>
        </thead>
        <tbody>
          {run.evidence.map((one) => (
            <tr key={one.rung}>
              <th scope="row" title={one.title}>
                {one.rung}
              </th>
              <td class={one.verdict === 'fail' ? 'bad' : ''}>{one.counts ? one.verdict : `${one.verdict}, of an older plan`}</td>
              <td>{clockTime(one.atMs)}</td>
              <td class="muted">{one.because}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollBox>
  )
}

function Writers({ run }: { run: DualWriteView }) {
  const { writers } = run
  const looked = writers === null || writers.lookedAtMs === null ? '' : `, looked at up to ${clockTime(writers.lookedAtMs)}`
  const found =
    writers !== null && writers.found.length > 0 ? `${writers.found.join('; ')}, the last ${clockTime(writers.lastMs ?? 0)}` : null
  const fresh = writers?.fresh === true
  return (
    <p class={found === null ? 'muted' : 'bad'} data-part="writers">
      other writers of the old branch: {found ?? (fresh ? 'none' : unknown)}
      {looked}
      {!fresh && writers !== null && writers.trouble !== null && `: ${writers.trouble}`}
    </p>
  )
}

function horizon(run: DualWriteView, nowMs: number): string {
  if (run.horizon === null) return `way back: ${unknown}`
  const { kind, untilMs, because } = run.horizon
  switch (kind) {
    case 'open':
      return `way back: without end, ${because}`
    case 'until':
      return `way back: ${duration(untilMs === null ? null : Math.max(0, untilMs - nowMs))} more, ${because}`
    case 'passed':
      return `no way back: ${because}`
    default:
      return `way back: ${unknown}, ${because}`
  }
}
