CREATE TABLE `child` (
  `id` int(11) NOT NULL AUTO_INCREMENT,
  `p` int(11) DEFAULT NULL,
  PRIMARY KEY (`id`),
  KEY `zz` (`p`,`id`),
  CONSTRAINT `fk,1` FOREIGN KEY (`p`) REFERENCES `nasty` (`check`) ON DELETE CASCADE ON UPDATE SET NULL
) ENGINE=InnoDB DEFAULT CHARSET=latin1 COLLATE=latin1_swedish_ci
