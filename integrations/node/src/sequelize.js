// Sequelize with guard(pg) as its driver:
//
//   const sequelize = install(new Sequelize({ dialect: 'postgres', dialectModule: guard(pg), ... }));
//
// Sequelize prepares each connection with statements of its own (time zone, type numbers) and, when they fail, forgets the
// open connection. They concern no organization, whoever happens to need the connection.
import { unscoped } from './index.js';

export function install(sequelize) {
  const manager = sequelize.connectionManager;
  const connect = manager.connect;
  manager.connect = (...given) => unscoped(() => connect.apply(manager, given));
  return sequelize;
}
