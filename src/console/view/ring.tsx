import type { RingShard } from '../ring-model.ts'
import { coordinates, sectorPath } from '../key-ring.ts'
import { percent } from '../format.ts'
import { serverText, sideText, versionText } from '../shard-text.ts'

const serving = { inner: 84, outer: 112, gap: 3 }
const other = { inner: 58, outer: 78, gap: 3 }
const labelRadius = 127
const labelsMax = 16

export type RingProps = {
  readonly keyspace: string
  readonly shards: readonly RingShard[]
  readonly picked: string | null
  readonly onPick: (shard: string | null) => void
}

/** The key space: outside what serves, inside the other side as far as it is filled. The table beside it says the same in words. */
export function Ring({ keyspace, shards, picked, onPick }: RingProps) {
  const labelled = shards.filter((shard) => shard.role === 'serving')
  const pickable = (shard: RingShard) => ({
    class: `arc phase-${shard.phase}${picked === shard.name ? ' picked' : ''}`,
    'data-shard': shard.name,
    onPointerEnter: () => onPick(shard.name),
    onPointerLeave: () => onPick(null),
  })
  return (
    <svg class="ring" viewBox="-150 -136 300 272" role="img" aria-label={inWords(keyspace, shards)}>
      <defs>
        <pattern id="unknown-fill" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
          <rect class="hatch" width="2.4" height="6" />
        </pattern>
      </defs>
      {shards.map((shard) => {
        const sector = { ...(shard.role === 'serving' ? serving : other), arc: shard.arc }
        if (shard.role === 'serving') {
          return (
            <path key={shard.name} data-role="serving" {...pickable(shard)} d={sectorPath(sector)}>
              <title>{pointedAt(shard)}</title>
            </path>
          )
        }
        return (
          <g key={shard.name} {...pickable(shard)} data-role={shard.role} data-filled={shard.filled ?? 'unknown'}>
            <title>{pointedAt(shard)}</title>
            <path class="track" d={sectorPath(sector)} />
            {shard.filled === null ? (
              <path class="fill-unknown" d={sectorPath(sector)} />
            ) : (
              shard.filled > 0 && <path class="fill" d={sectorPath(sector, shard.filled)} />
            )}
          </g>
        )
      })}
      {labelled.length <= labelsMax &&
        labelled.map(({ name, arc }) => {
          const { x, y } = coordinates(labelRadius, (arc.start + arc.end) / 2)
          return (
            <text
              key={name}
              class="ring-label"
              x={x}
              y={y}
              text-anchor={Math.abs(x) < 12 ? 'middle' : x < 0 ? 'end' : 'start'}
              dominant-baseline="middle"
            >
              {name}
            </text>
          )
        })}
      <text class="ring-count" y={-6} text-anchor="middle">
        {labelled.length}
      </text>
      <text class="ring-unit" y={14} text-anchor="middle">
        {labelled.length === 1 ? 'shard serves' : 'shards serve'}
      </text>
    </svg>
  )
}

function pointedAt(shard: RingShard): string {
  return [`${shard.name}: ${sideText(shard)}, ${shard.phase}`, serverText(shard), versionText(shard)].join('\n')
}

function inWords(keyspace: string, shards: readonly RingShard[]): string {
  const list = (role: (shard: RingShard) => boolean): string =>
    shards
      .filter(role)
      .map((shard) => (shard.role === 'serving' ? shard.name : `${shard.name} (${shard.role}, ${percent(shard.filled)})`))
      .join(', ')
  const others = list((shard) => shard.role !== 'serving')
  return `Key ranges of ${keyspace}: served by ${list((shard) => shard.role === 'serving')}${others === '' ? '' : `; other side: ${others}`}`
}
