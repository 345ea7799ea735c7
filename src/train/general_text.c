/* general_text.c - the passages: an explanation, a story, instructions, a conversation, a notice, a table in prose. */
#include "train/general_text.h"

const char *const hone_general_passages[] = {
    "Ice floats because water is one of the few substances that grow when they freeze. As the temperature falls below "
    "four degrees, the molecules begin to arrange themselves in an open lattice, and a litre of ice holds less matter "
    "than a litre of the water around it. A lake therefore freezes from the top, and the ice keeps the water below "
    "from "
    "losing its warmth. Fish spend the winter near the bottom, where it stays at about four degrees even when the air "
    "above is far colder.",
    "The ferry was late again. Marta put her bag on the bench and watched the gulls fight over a piece of bread. An "
    "old "
    "man with a folded newspaper asked whether she was waiting for somebody, and she told him that her brother had "
    "promised to come on the morning boat. \"Then you had better get a cup of tea,\" he said. \"In this weather the "
    "morning boat comes in the afternoon.\" She laughed, though she did not feel like laughing, and looked once more "
    "at "
    "the grey line where the sea met the sky.",
    "To repair a dripping tap, first close the valve under the sink and open the tap to let the remaining water run "
    "out. Put a cloth in the basin so that no screw can fall down the drain. Remove the handle, loosen the nut beneath "
    "it with a spanner, and lift out the old washer. Take it with you to the shop, because washers come in many sizes. "
    "When the new one is in its place, tighten the nut by hand, then by a quarter of a turn with the spanner, and open "
    "the valve slowly.",
    "\"What did the council decide about the library?\" asked Peter. \"They will keep it open, but only on four days "
    "of "
    "the week,\" said Anna. \"The roof has to be mended first, and that takes most of this year's money. A few people "
    "offered to look after the reading room on Saturdays.\" \"Would they need any training?\" \"An evening, perhaps. "
    "The "
    "important thing is that somebody has a key and knows how the heating works.\"",
    "The company was founded in a small workshop by two sisters who made lamps for railway carriages. Within ten years "
    "it employed sixty people and sold its products in five countries. When electric lighting replaced gas, the "
    "younger "
    "sister saw that the old designs would soon be worthless, and she persuaded the bank to pay for new machines. The "
    "decision was unpopular at first, since many workers feared for their jobs, but by the end of the decade nobody "
    "wanted to go back.",
    "A good map leaves out almost everything. It keeps the roads and drops the trees beside them; it keeps the name of "
    "a village and drops the people who live there. Which details are kept depends on the question that the map is "
    "meant to answer. A sailor needs the depth of the water, a walker the steepness of the path, and a postman the "
    "numbers of the houses. For this reason two maps of the same place can look quite different, and yet both of them "
    "can be right.",
};
const size_t hone_n_general_passages = sizeof hone_general_passages / sizeof *hone_general_passages;
