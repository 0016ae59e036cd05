import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import type { Sample } from '../history.ts'
import { windowMs } from '../history.ts'
import { useDarkness } from './use-darkness.ts'

const heightPx = 108

export type ChartProps = {
  readonly samples: readonly Sample[]
  readonly of: (sample: Sample) => number | null
  readonly text: (value: number | null) => string
  /** Name of the CSS property that holds the colour. */
  readonly colour: string
  /** What it shows, in words, for those who can't see it. */
  readonly label: string
}

/** One measure over the last minutes. uPlot draws it; it is made anew only when colours change. */
export function Chart({ samples, of, text, colour, label }: ChartProps) {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const shown = useRef(samples)
  shown.current = samples
  const dark = useDarkness()
  useEffect(() => {
    if (box.current === null) return
    const made = new uPlot(
      optionsFor(box.current, { of, text, colour, samples: () => shown.current }),
      dataOf(shown.current, of),
      box.current,
    )
    plot.current = made
    const observer = new ResizeObserver(([entry]) => {
      if (entry !== undefined) made.setSize({ width: Math.max(120, Math.floor(entry.contentRect.width)), height: heightPx })
    })
    observer.observe(box.current)
    return () => {
      observer.disconnect()
      made.destroy()
    }
  }, [dark])
  useEffect(() => plot.current?.setData(dataOf(samples, of)), [samples])
  return <div ref={box} class="plot" role="img" aria-label={label} />
}

function dataOf(samples: readonly Sample[], of: ChartProps['of']): uPlot.AlignedData {
  return [samples.map((sample) => sample.atMs / 1000), samples.map(of)]
}

type Drawing = Pick<ChartProps, 'of' | 'text' | 'colour'> & { readonly samples: () => readonly Sample[] }

function optionsFor(box: HTMLElement, { text, colour, samples }: Drawing): uPlot.Options {
  const css = getComputedStyle(box)
  const line = css.getPropertyValue(colour).trim()
  const axis = { stroke: css.getPropertyValue('--muted').trim(), font: `11px ${css.fontFamily}`, ticks: { show: false } }
  const grid = { stroke: css.getPropertyValue('--line').trim(), width: 1 }
  return {
    width: Math.max(120, box.clientWidth),
    height: heightPx,
    legend: { show: false },
    cursor: { show: false },
    padding: [10, 4, 0, 0],
    scales: {
      x: { range: (_plot, _min, max) => [(max ?? 0) - windowMs / 1000, max ?? 1] },
      y: { range: (_plot, _min, max) => [0, roundedUp(max ?? 0)] },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 22,
        space: 70,
        values: (_plot, ticks) => ticks.map((at) => new Date(at * 1000).toLocaleTimeString('en-GB')),
      },
      { ...axis, grid, size: 58, space: 28, values: (_plot, ticks) => ticks.map((value) => text(value)) },
    ],
    series: [
      {},
      { stroke: line, fill: `color-mix(in srgb, ${line} 14%, transparent)`, width: 1.5, points: { show: false }, spanGaps: false },
    ],
    hooks: { drawClear: [(plot) => markSwitches(plot, samples(), css.getPropertyValue('--switching').trim())] },
  }
}

/** Leaves room above the highest point, and a scale to draw when all is zero. */
function roundedUp(max: number): number {
  return max <= 0 ? 1 : max * 1.15
}

function markSwitches(plot: uPlot, samples: readonly Sample[], stroke: string): void {
  const { ctx, bbox } = plot
  ctx.save()
  ctx.strokeStyle = stroke
  ctx.lineWidth = devicePixelRatio
  ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio])
  ctx.beginPath()
  for (const [index, sample] of samples.entries()) {
    // A switch that spans samples is one line, where it began.
    if (!sample.switched || samples[index - 1]?.switched === true) continue
    const x = Math.round(plot.valToPos(sample.atMs / 1000, 'x', true))
    if (x < bbox.left || x > bbox.left + bbox.width) continue
    ctx.moveTo(x, bbox.top)
    ctx.lineTo(x, bbox.top + bbox.height)
  }
  ctx.stroke()
  ctx.restore()
}
