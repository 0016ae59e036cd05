import type { ActionView } from '../../api/schemas.ts'
import { clockTime, count, duration } from '../format.ts'
import { switchResultOf } from '../switch-result.ts'
import type { SwitchResult } from '../switch-result.ts'
import { ErrorNote, WaitingNote } from './notes.tsx'

export function LastAction({ action, nowMs }: { action: ActionView; nowMs: number }) {
  const switched = switchResultOf(action.result)
  const errors = action.errors.length > 0 ? action.errors : action.error === null ? [] : [action.error]
  return (
    <section class="part" data-part="action">
      <h4>
        last action: {action.verb} <span class={`badge state-${action.state}`}>{action.state}</span>
        <small class="muted">{timeText(action, nowMs)}</small>
      </h4>
      {action.waiting !== null && <WaitingNote waiting={action.waiting} nowMs={nowMs} />}
      {errors.map((error) => (
        <ErrorNote key={error.code + error.what} error={error} />
      ))}
      {action.steps.length > 0 && (
        <ol class="steps">
          {action.steps.map((step) => (
            <li key={step.name} class={step.ms === null ? 'step-now' : ''}>
              {step.name} <b>{step.ms === null ? 'now' : duration(step.ms)}</b>
              {step.note !== undefined && <small class="muted"> {step.note}</small>}
            </li>
          ))}
        </ol>
      )}
      {switched !== null && <SwitchReport result={switched} />}
      {action.text.length > 0 && (
        <details>
          <summary>what it said</summary>
          <pre>{action.text.join('\n')}</pre>
        </details>
      )}
    </section>
  )
}

function timeText(action: ActionView, nowMs: number): string {
  if (action.startedAtMs === null) return `asked for at ${clockTime(action.requestedAtMs)}, not begun`
  if (action.endedAtMs === null) return `since ${duration(Math.max(0, nowMs - action.startedAtMs))}`
  return `${clockTime(action.endedAtMs)}, took ${duration(action.endedAtMs - action.startedAtMs)}`
}

/** When each step of a switch was, against the moment clients began to wait. */
function SwitchReport({ result }: { result: SwitchResult }) {
  const { holds, stallMs } = result
  const from = Math.min(...result.steps.map((step) => step.startMs))
  const whole = Math.max(...result.steps.map((step) => step.startMs + step.ms)) - from
  return (
    <div class="switch-report">
      <p>
        <b>{result.outcome}</b>; clients held for <b>{duration(stallMs)}</b>
        {holds !== null &&
          `; statements held: ${count(holds.held)}, longest ${duration(holds.longestMs)}, median ${duration(holds.medianMs)}, failed ${count(holds.failed)}`}
      </p>
      {whole > 0 && (
        <details>
          <summary>when each step was</summary>
          <ol class="timeline">
            {result.steps.map((step, index) => (
              <li key={index}>
                <span>{step.name}</span>
                <span class="lane" aria-hidden="true">
                  <i style={{ left: `${((step.startMs - from) / whole) * 100}%`, width: `${Math.max((step.ms / whole) * 100, 0.5)}%` }} />
                </span>
                <span>{duration(step.ms)}</span>
              </li>
            ))}
          </ol>
        </details>
      )}
    </div>
  )
}
