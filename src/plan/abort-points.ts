/** Until when one can walk away, and what that costs: the same for every plan of a way. */
import type { AbortPoint, Way } from './result.ts'

const replicate: readonly AbortPoint[] = [
  { until: 'the switch', how: 'cancel', costs: 'the copied rows and the time; production felt one scan' },
  { until: 'the deciding commit of the switch', how: 'it gives up by itself', costs: 'a write pause of under a second' },
  { until: 'complete', how: 'reversetraffic', costs: 'another write pause of under a second; nothing is lost either way' },
]

const topic: readonly AbortPoint[] = [
  { until: 'the ramp begins', how: 'DualWrite cancel', costs: 'the new shards, the second fleet and the time; production felt nothing' },
  {
    until: 'the old fleet stops',
    how: 'DualWrite rollback: readers go back, no write is touched',
    costs: 'one acknowledgement of the gates',
  },
  {
    until: 'the topic, the stored offsets and the old rows no longer overlap',
    how: 'start the old fleet from its stored offsets, let it catch up, roll back',
    costs: 'the time to catch up; the countdown is shown',
  },
]

export function abortPoints(way: Way): readonly AbortPoint[] {
  if (way === 'replicate') return replicate
  if (way !== 'hybrid') return topic
  return topic.map((point, index) => (index === 0 ? { ...point, costs: `${point.costs} but for the scan of the dimension tables` } : point))
}
