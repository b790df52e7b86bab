/** The vehicles by their id, fetched once a page: their names hardly change. */

import { all } from "./api.js";

let vehicles = null;

/**
 * @returns {Promise<Map<string, object>>}
 * @throws {ApiError} they can't be had; the next call tries again
 */
export function vehiclesById() {
  vehicles ??= all("/api/fleet/vehicles").then(
    (items) => new Map(items.map((vehicle) => [vehicle.id, vehicle])),
    (error) => {
      vehicles = null;
      throw error;
    },
  );
  return vehicles;
}
