/** One marker a vehicle on the map: an arrow while it drives, a disc while it stands. */

const { L } = globalThis;

const SHAPES = {
  moving: '<path d="M12 2.6 19 20l-7-3.6L5 20Z"/>',
  idle: '<circle cx="12" cy="12" r="6.5"/>',
  maintenance: '<rect x="5.5" y="5.5" width="13" height="13" rx="3"/>',
};

export class VehicleMarkers {
  /**
   * @param {L.Map} map
   * @param {(id: string) => void} onChoose called with the vehicle whose marker was clicked
   */
  constructor(map, onChoose) {
    this.map = map;
    this.onChoose = onChoose;
    this.markers = new Map();
    // Markers glide between positions; a zoom or a new size must place them at once.
    const box = map.getContainer();
    map.on("zoomstart resize viewreset", () => box.classList.add("is-jumping"));
    const glide = () => box.classList.remove("is-jumping");
    map.on("zoomend resize viewreset", () => requestAnimationFrame(() => requestAnimationFrame(glide)));
  }

  /** Puts every vehicle where it is now, and removes those that are gone. */
  apply(vehicles) {
    const gone = new Set(this.markers.keys());
    for (const vehicle of vehicles) {
      gone.delete(vehicle.id);
      const entry = this.markers.get(vehicle.id) ?? this.#create(vehicle);
      entry.marker.setLatLng([vehicle.lat, vehicle.lon]);
      // What is drawn, to be read by tests: Leaflet keeps it to itself.
      Object.assign(entry.element.dataset, { lat: vehicle.lat, lon: vehicle.lon });
      this.#dress(entry, vehicle);
    }
    for (const id of gone) {
      this.markers.get(id).marker.remove();
      this.markers.delete(id);
    }
  }

  /** Marks one vehicle as chosen. */
  highlight(id) {
    for (const [other, { marker }] of this.markers) {
      const chosen = other === id;
      marker.getElement().classList.toggle("is-chosen", chosen);
      marker.setZIndexOffset(chosen ? 100_000 : 0);
    }
  }

  /** Brings one vehicle into view. */
  show(id) {
    const marker = this.markers.get(id)?.marker;
    if (marker) this.map.panInside(marker.getLatLng(), { padding: [80, 80] });
  }

  #create({ id, lat, lon }) {
    const icon = L.divIcon({ className: "vehicle-marker", html: "", iconSize: [24, 24] });
    // The list is the way by keyboard: 240 tab stops on a map help nobody.
    const marker = L.marker([lat, lon], { icon, keyboard: false }).addTo(this.map);
    marker.on("click", () => this.onChoose(id));
    const element = marker.getElement();
    element.dataset.vehicle = id;
    const entry = { marker, element, status: null };
    this.markers.set(id, entry);
    return entry;
  }

  #dress(entry, { id, status, heading }) {
    if (entry.status !== status) {
      entry.status = status;
      entry.element.dataset.status = status;
      entry.element.title = `${id}, ${status}`;
      const shape = SHAPES[status] ?? SHAPES.idle; // never text from the server: this becomes markup
      entry.element.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true">${shape}</svg>`;
    }
    const turn = status === "moving" ? Math.round(heading) : 0;
    if (entry.turn === turn) return;
    entry.turn = turn;
    entry.element.style.setProperty("--heading", `${turn}deg`);
  }
}
