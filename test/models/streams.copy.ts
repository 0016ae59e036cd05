/** The copy of a stream whose appliers are the engine's own (`streams.stream.ts`, `one-source.stream.ts`): a range is read between two markers, and its chunk lands on each target that lacks it, or is thrown away. */
import type { Chunk } from '../../src/move/chunk.ts'
import type { TargetApplier } from '../../src/move/target-applier.ts'
import type { TablePlan } from '../../src/move/table-plan.ts'
import type { TouchedKeys } from '../../src/move/touched.ts'
import type { ModelRow, TestCoordinate } from './fake-target.ts'
import type { Random } from './random.ts'
import { pause } from './streams.lane.ts'

/** Of one run of a stream. */
export type Copying = {
  readonly targets: readonly TargetApplier[]
  readonly touched: TouchedKeys<TablePlan>
  readonly ending: AbortController
  /** Chunks that were read and are not done with. */
  readonly open: Set<Chunk>
}

type Marked = { readonly last: TestCoordinate; marker(): number }

/** As they come by themselves. */
export async function writeMarkers(source: Marked, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, 300))
    if (!signal.aborted) source.marker()
  }
}

export async function writeMarker(source: Marked, random: Random, signal: AbortSignal): Promise<number> {
  await pause(random, signal)
  return source.marker()
}

export async function readBetweenMarkers(
  { touched, ending: { signal } }: Copying,
  random: Random,
  source: Marked,
  read: () => ModelRow[],
): Promise<{ rows: ModelRow[]; generation: number; highMarker: number }> {
  // As `markers.ts`: the generation begins before the marker is sent.
  await pause(random, signal)
  const generation = touched.begin(source.last.marker + 1)
  await writeMarker(source, random, signal)
  await pause(random, signal)
  const rows = read()
  return { rows, generation, highMarker: await writeMarker(source, random, signal) }
}

/** Until each of these targets has landed it, or it was thrown away. */
export async function land(
  { targets, touched, ending, open }: Copying,
  random: Random,
  chunk: Chunk,
  lacking: readonly number[],
): Promise<void> {
  chunk.remaining = lacking.length
  open.add(chunk)
  for (const number of lacking) targets[number]?.addChunk(chunk)
  while (chunk.remaining > 0) await pause(random, ending.signal)
  open.delete(chunk)
  if (chunk.generation !== null) touched.release(chunk.generation)
}

/** Now and then, as for keys above their budget: at each look any chunk, by chance. */
export async function throwAway(
  { targets, touched, ending: { signal }, open }: Copying,
  random: Random,
  { everyMs, chance }: { readonly everyMs: number; readonly chance: number },
): Promise<void> {
  while (!signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, everyMs))
    for (const chunk of open) {
      if (signal.aborted || chunk.generation === null || !random.chance(chance)) continue
      touched.release(chunk.generation)
      chunk.generation = null
      for (const target of targets) if (target.withdraw(chunk)) chunk.remaining--
    }
  }
}
