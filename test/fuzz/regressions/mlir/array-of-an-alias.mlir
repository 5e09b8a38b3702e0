!t = index
module attributes {a = array<!t: 1>} {}
