/** A definition printed by one flavour is what the other reads it as (flavour-translation.ts). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { translateDefinition } from './flavour-translation.ts'
import { parseTableDefinition, printTableDefinition } from './table-definition.ts'

const translated = (elements: string, from: 'mysql' | 'mariadb', to: 'mysql' | 'mariadb'): string =>
  printTableDefinition(translateDefinition(parseTableDefinition(`CREATE TABLE \`t\` (\n  ${elements}\n) ENGINE=InnoDB`), from, to))

test('MySQL to MariaDB: invisible columns and keys stay invisible', () => {
  const text = translated("`a` int DEFAULT '5' /*!80023 INVISIBLE */,\n  KEY `k` (`a`) /*!80000 INVISIBLE */", 'mysql', 'mariadb')
  assert.match(text, /`a` int DEFAULT '5' INVISIBLE,\n {2}KEY `k` \(`a`\) IGNORED\n/)
})

test('MySQL to MariaDB: a geomcollection is what MariaDB calls a geometrycollection, and only as a type', () => {
  const text = translated("`geomcollection` geomcollection NOT NULL COMMENT 'geomcollection',\n  `a` geomcollection", 'mysql', 'mariadb')
  assert.match(text, /`geomcollection` geometrycollection NOT NULL COMMENT 'geomcollection',\n {2}`a` geometrycollection\n/)
})

test('MariaDB to MySQL: expressions as defaults get parentheses, all else stays', () => {
  const text = translated(
    "`a` varchar(9) DEFAULT concat('d',1 + 1) COMMENT 'DEFAULT uuid()',\n  `b` timestamp DEFAULT current_timestamp() ON UPDATE current_timestamp(),\n" +
      "  `c` int(11) DEFAULT NULL,\n  `d` int DEFAULT (1 + 2),\n  `e` int INVISIBLE DEFAULT 5,\n  `default` char(1) DEFAULT 'x',\n  KEY `k` (`a`) IGNORED",
    'mariadb',
    'mysql',
  )
  assert.match(text, /DEFAULT \(concat\('d',1 \+ 1\)\) COMMENT 'DEFAULT uuid\(\)'/)
  assert.match(text, /`b` timestamp DEFAULT current_timestamp\(\) ON UPDATE current_timestamp\(\),/)
  assert.match(
    text,
    /`c` int\(11\) DEFAULT NULL,\n {2}`d` int DEFAULT \(1 \+ 2\),\n {2}`e` int INVISIBLE DEFAULT 5,\n {2}`default` char\(1\) DEFAULT 'x',/,
  )
  assert.match(text, /KEY `k` \(`a`\) INVISIBLE/)
})
