/** Connections are prepared without an organization; everything else needs one. Returns the same object. */
export function install<Sequelize extends object>(sequelize: Sequelize): Sequelize;
