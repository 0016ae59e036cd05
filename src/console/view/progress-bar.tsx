import { percent } from '../format.ts'

/** A share as a bar; unknown is hatched, and said so. */
export function ProgressBar({ label, share }: { label: string; share: number | null }) {
  const value = share === null ? {} : { 'aria-valuenow': Math.floor(share * 100) }
  return (
    <div
      class={`bar ${share === null ? 'bar-unknown' : ''}`}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuetext={percent(share)}
      {...value}
    >
      {share !== null && <div style={{ width: `${share * 100}%` }} />}
    </div>
  )
}
