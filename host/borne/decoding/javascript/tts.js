
// The Things Stack's normalised payload: battery in V, air temperature in degrees Celsius.
function normalizeUplink(input) {
  var data = {};
  if (typeof input.data.battery === "number") { data.battery = input.data.battery / 1000; }
  if (input.data.kind === "fill" && typeof input.data.temperature === "number") { data.air = { temperature: input.data.temperature }; }
  return { data: data };
}
