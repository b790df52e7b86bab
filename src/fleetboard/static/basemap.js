/** The city map under the vehicles, drawn from our own copy of OpenStreetMap data. */

const { L } = globalThis;

/** What the data covers; the view stays inside it (south-west, north-east). */
export const CITY = L.latLngBounds([60.1643, 24.9354], [60.1789, 24.9532]);

const AREAS = {
  water: { fillColor: "#aad3e8", color: "#8fc1da", weight: 1 },
  park: { fillColor: "#d3e8c6", color: "#c2dcb2", weight: 1 },
  building: { fillColor: "#e4ddd2", color: "#d2c9bb", weight: 1 },
};

// Widths are pixels at zoom 16; streets grow with the zoom, like the ground does.
const LINES = [
  { kind: "rail", color: "#bdb6ab", width: 1.6 },
  { kind: "path", color: "#ffffff", width: 2.2 },
  { kind: "street", color: "#d6cfc2", width: 8.5 },
  { kind: "major", color: "#dfb56c", width: 11.5 },
  { kind: "street", color: "#ffffff", width: 6.5 },
  { kind: "major", color: "#fde3a7", width: 9 },
];

/**
 * Draws the base map.
 * @param {L.Map} map
 * @param {object} city GeoJSON feature collection with a property `kind`
 */
export function drawBasemap(map, city) {
  const renderer = L.canvas({ padding: 0.4 });
  const draw = (kind, style) => {
    const features = city.features.filter((feature) => feature.properties.kind === kind);
    return L.geoJSON({ type: "FeatureCollection", features }, { renderer, interactive: false, style }).addTo(map);
  };
  for (const [kind, style] of Object.entries(AREAS)) draw(kind, { ...style, fillOpacity: 1 });
  const layers = LINES.map(({ kind, color, width }) => ({
    width,
    layer: draw(kind, { color, weight: width, opacity: 1 }),
  }));
  const labels = new StreetLabels(map, city);
  const fit = () => {
    const scale = 2 ** ((map.getZoom() - 16) * 0.8);
    for (const { width, layer } of layers) layer.setStyle({ weight: width * scale });
    labels.place();
  };
  map.on("zoomend", fit);
  fit();
}

/** Street names along the streets: one a street, on its longest straight piece, where there is room. */
class StreetLabels {
  constructor(map, city) {
    this.map = map;
    map.createPane("labels").classList.add("street-labels");
    this.group = L.layerGroup().addTo(map);
    const longest = new Map();
    for (const { properties, geometry } of city.features) {
      if (!properties.name || !["major", "street"].includes(properties.kind)) continue;
      for (let i = 1; i < geometry.coordinates.length; i += 1) {
        const [a, b] = [geometry.coordinates[i - 1], geometry.coordinates[i]].map(([x, y]) => L.latLng(y, x));
        const length = a.distanceTo(b);
        const least = longest.get(properties.name)?.length ?? 40;
        if (length > least) longest.set(properties.name, { a, b, length });
      }
    }
    this.names = [...longest].sort((x, y) => y[1].length - x[1].length);
  }

  place() {
    this.group.clearLayers();
    const taken = [];
    for (const [name, { a, b }] of this.names) {
      const [p, q] = [this.map.latLngToLayerPoint(a), this.map.latLngToLayerPoint(b)];
      const room = p.distanceTo(q);
      const width = name.length * 6.2 + 8; // about what the text takes at 11 px
      const middle = p.add(q).divideBy(2);
      const clash = taken.some((other) => middle.distanceTo(other.at) < (width + other.width) * 0.42);
      if (clash || room < width * 0.8) continue;
      taken.push({ at: middle, width });
      this.#add(name, p.x <= q.x ? q.subtract(p) : p.subtract(q), middle);
    }
  }

  #add(name, direction, at) {
    const text = document.createElement("span");
    text.textContent = name;
    text.style.setProperty("--turn", `${Math.atan2(direction.y, direction.x)}rad`);
    const icon = L.divIcon({ className: "street-label", html: text, iconSize: [0, 0] });
    const options = { icon, pane: "labels", interactive: false, keyboard: false };
    L.marker(this.map.layerPointToLatLng(at), options).addTo(this.group);
  }
}
