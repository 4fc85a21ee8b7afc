
// ThingPark loads codecs as modules, its simulator as scripts.
if (typeof exports === "object") {
  exports.decodeUplink = decodeUplink;
  exports.decodeDownlink = decodeDownlink;
  exports.encodeDownlink = encodeDownlink;
}
