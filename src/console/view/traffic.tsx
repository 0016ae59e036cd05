import type { StatusView } from '../../api/schemas.ts'
import { count, duration, perSecond, plural, unknown } from '../format.ts'
import type { History, Sample } from '../history.ts'
import { windowMs } from '../history.ts'
import { Chart } from './chart.tsx'

type Measure = {
  readonly title: string
  readonly colour: string
  readonly of: (sample: Sample) => number | null
  readonly text: (value: number | null) => string
  readonly now: (sample: Sample | undefined) => string
}

const measures: readonly Measure[] = [
  {
    title: 'statements',
    colour: '--chart-rate',
    of: (sample) => sample.statementsPerSecond,
    text: perSecond,
    now: (sample) => perSecond(sample?.statementsPerSecond ?? null),
  },
  {
    title: 'errors',
    colour: '--chart-errors',
    of: (sample) => sample.errorsPerSecond,
    text: (value) => (value === null ? unknown : `${value === 0 ? 0 : value.toFixed(1)}/s`),
    now: (sample) => (sample === undefined || sample.statementsPerSecond === null ? unknown : count(sample.errorsSeen)),
  },
  {
    title: 'slowest write',
    colour: '--chart-slowest',
    of: (sample) => sample.slowestWriteMs,
    text: duration,
    now: (sample) => duration(sample?.slowestWriteMs ?? null),
  },
]

/** What clients of the gates meet: three live charts over the same minutes, with the switches marked in each. */
export function Traffic({ history, status }: { history: History; status: StatusView }) {
  const { samples } = history
  const last = samples.at(-1)
  return (
    <section aria-labelledby="traffic">
      <h2 id="traffic">
        Clients
        <small>
          through {plural(status.gates.length, 'gate')}, last {windowMs / 60_000} minutes; dashed lines are switches of traffic
          {last !== undefined && last.gatesUnknown > 0 && `; ${plural(last.gatesUnknown, 'gate')} unknown and left out`}
        </small>
      </h2>
      <div class="charts">
        {measures.map((measure) => {
          const known = samples.map(measure.of).filter((value) => value !== null)
          const most = known.length === 0 ? null : Math.max(...known)
          return (
            <figure class="panel chart" key={measure.title}>
              <figcaption>
                <span>{measure.title}</span>
                <strong data-measure={measure.title}>{measure.now(last)}</strong>
                <small>{measure.title === 'errors' ? 'since this page was opened' : `most: ${measure.text(most)}`}</small>
              </figcaption>
              <Chart
                samples={samples}
                of={measure.of}
                text={measure.text}
                colour={measure.colour}
                label={`${measure.title}, now ${measure.now(last)}, most ${measure.text(most)}`}
              />
            </figure>
          )
        })}
      </div>
    </section>
  )
}
