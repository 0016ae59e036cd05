import type { ComponentChildren } from 'preact'

/** Holds what may be wider or longer than its place, reachable by keyboard too. */
export function ScrollBox({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <div class="scroll" role="region" aria-label={label} tabIndex={0}>
      {children}
    </div>
  )
}
