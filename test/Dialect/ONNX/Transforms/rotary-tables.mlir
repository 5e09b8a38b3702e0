// RUN: fdpp-opt %s --onnx-compose -split-input-file | FileCheck %s

// Cosines and sines that an exporter evaluated are what they were computed
// from, if that is all of them: rows of positions from 0, two frequencies.

// CHECK-LABEL: func.func @fixed
// CHECK: %[[P:.*]] = fdpp.slot_positions %arg0
// CHECK: onnx.Unsqueeze(%[[P]],
// CHECK: %[[F:.*]] = onnx.Constant dense<[1.000000e+00, 1.000000e-01]> : tensor<2xf32>
// CHECK: %[[A:.*]] = onnx.Mul(%{{.*}}, %[[F]])
// CHECK: onnx.Cos(%[[A]])
// CHECK: onnx.RotaryEmbedding(%arg2,
func.func @fixed(%ids: tensor<1x4xi64>, %positions: tensor<1x4xi64>, %x: tensor<1x4x8xf32>) -> tensor<1x2x4x4xf32> {
  %shape = onnx.Constant dense<[0, 0, 2, 4]> : tensor<4xi64>
  %split = onnx.Reshape(%x, %shape) : (tensor<1x4x8xf32>, tensor<4xi64>) -> tensor<1x4x2x4xf32>
  %h = onnx.Transpose(%split) {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x4x2x4xf32>) -> tensor<1x2x4x4xf32>
  %cos = onnx.Constant dense<[[[1.0, 1.0], [0.5403022766113281, 0.9950041770935059], [-0.416146844625473, 0.9800665974617004], [-0.9899924993515015, 0.9553365111351013]]]> : tensor<1x4x2xf32>
  %sin = onnx.Constant dense<[[[0.0, 0.0], [0.8414709568023682, 0.0998334214091301], [0.9092974066734314, 0.19866932928562164], [0.14112000167369843, 0.29552021622657776]]]> : tensor<1x4x2xf32>
  %y = onnx.RotaryEmbedding(%h, %cos, %sin) : (tensor<1x2x4x4xf32>, tensor<1x4x2xf32>, tensor<1x4x2xf32>) -> tensor<1x2x4x4xf32>
  return %y : tensor<1x2x4x4xf32>
}

// -----

// Half precision leaves open what the formula of a theta of 100 says.
// CHECK-LABEL: func.func @narrow
// CHECK: %[[P:.*]] = fdpp.slot_positions %arg0
// CHECK: onnx.Unsqueeze(%[[P]],
// CHECK: %[[F:.*]] = onnx.Constant dense<[1.000000e+00, 1.000000e-01]> : tensor<2xf32>
// CHECK: %[[A:.*]] = onnx.Mul(%{{.*}}, %[[F]])
// CHECK: onnx.Cos(%[[A]])
// CHECK: onnx.RotaryEmbedding(%arg2,
func.func @narrow(%ids: tensor<1x4xi64>, %positions: tensor<1x4xi64>, %x: tensor<1x4x8xf32>) -> tensor<1x2x4x4xf32> {
  %shape = onnx.Constant dense<[0, 0, 2, 4]> : tensor<4xi64>
  %split = onnx.Reshape(%x, %shape) : (tensor<1x4x8xf32>, tensor<4xi64>) -> tensor<1x4x2x4xf32>
  %h = onnx.Transpose(%split) {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x4x2x4xf32>) -> tensor<1x2x4x4xf32>
  %cos = onnx.Constant dense<[[[1.0, 1.0], [0.54052734375, 0.9951171875], [-0.416259765625, 0.97998046875], [-0.990234375, 0.95556640625]]]> : tensor<1x4x2xf32>
  %sin = onnx.Constant dense<[[[0.0, 0.0], [0.84130859375, 0.099853515625], [0.9091796875, 0.1986083984375], [0.14111328125, 0.29541015625]]]> : tensor<1x4x2xf32>
  %y = onnx.RotaryEmbedding(%h, %cos, %sin) : (tensor<1x2x4x4xf32>, tensor<1x4x2xf32>, tensor<1x4x2xf32>) -> tensor<1x2x4x4xf32>
  return %y : tensor<1x2x4x4xf32>
}

// -----

// CHECK-LABEL: func.func @scaled
// CHECK: %[[P:.*]] = fdpp.slot_positions %arg0
// CHECK: onnx.Unsqueeze(%[[P]],
// CHECK: %[[F:.*]] = onnx.Constant dense<[1.000000e+00, 1.000000e-01]> : tensor<2xf32>
// CHECK: %[[A:.*]] = onnx.Mul(%{{.*}}, %[[F]])
// CHECK: onnx.Cos(%[[A]])
// CHECK: onnx.Constant dense<5.000000e-01> : tensor<f32>
// CHECK: onnx.RotaryEmbedding(%arg2,
func.func @scaled(%ids: tensor<1x4xi64>, %positions: tensor<1x4xi64>, %x: tensor<1x4x8xf32>) -> tensor<1x2x4x4xf32> {
  %shape = onnx.Constant dense<[0, 0, 2, 4]> : tensor<4xi64>
  %split = onnx.Reshape(%x, %shape) : (tensor<1x4x8xf32>, tensor<4xi64>) -> tensor<1x4x2x4xf32>
  %h = onnx.Transpose(%split) {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x4x2x4xf32>) -> tensor<1x2x4x4xf32>
  %cos = onnx.Constant dense<[[[0.5, 0.5], [0.27015113830566406, 0.49750208854675293], [-0.2080734223127365, 0.4900332987308502], [-0.49499624967575073, 0.47766825556755066]]]> : tensor<1x4x2xf32>
  %sin = onnx.Constant dense<[[[0.0, 0.0], [0.4207354784011841, 0.04991671070456505], [0.4546487033367157, 0.09933466464281082], [0.07056000083684921, 0.14776010811328888]]]> : tensor<1x4x2xf32>
  %y = onnx.RotaryEmbedding(%h, %cos, %sin) : (tensor<1x2x4x4xf32>, tensor<1x4x2xf32>, tensor<1x4x2xf32>) -> tensor<1x2x4x4xf32>
  return %y : tensor<1x2x4x4xf32>
}

// -----

// One element is off by more than rounding explains.
// CHECK-LABEL: func.func @changed
// CHECK-NOT: onnx.Cos
// CHECK: onnx.RotaryEmbedding(%{{.*}}) : (tensor<1x2x4x4xf32>
func.func @changed(%ids: tensor<1x4xi64>, %positions: tensor<1x4xi64>, %x: tensor<1x4x8xf32>) -> tensor<1x2x4x4xf32> {
  %shape = onnx.Constant dense<[0, 0, 2, 4]> : tensor<4xi64>
  %split = onnx.Reshape(%x, %shape) : (tensor<1x4x8xf32>, tensor<4xi64>) -> tensor<1x4x2x4xf32>
  %h = onnx.Transpose(%split) {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x4x2x4xf32>) -> tensor<1x2x4x4xf32>
  %cos = onnx.Constant dense<[[[1.0, 1.0], [0.5403022766113281, 0.9950041770935059], [-0.416146844625473, 0.9800766110420227], [-0.9899924993515015, 0.9553365111351013]]]> : tensor<1x4x2xf32>
  %sin = onnx.Constant dense<[[[0.0, 0.0], [0.8414709568023682, 0.0998334214091301], [0.9092974066734314, 0.19866932928562164], [0.14112000167369843, 0.29552021622657776]]]> : tensor<1x4x2xf32>
  %y = onnx.RotaryEmbedding(%h, %cos, %sin) : (tensor<1x2x4x4xf32>, tensor<1x4x2xf32>, tensor<1x4x2xf32>) -> tensor<1x2x4x4xf32>
  return %y : tensor<1x2x4x4xf32>
}

// -----

// CHECK-LABEL: func.func @nothing
// CHECK-NOT: onnx.Cos
// CHECK: onnx.RotaryEmbedding(%{{.*}}) : (tensor<1x2x4x4xf32>
func.func @nothing(%ids: tensor<1x4xi64>, %positions: tensor<1x4xi64>, %x: tensor<1x4x8xf32>) -> tensor<1x2x4x4xf32> {
  %shape = onnx.Constant dense<[0, 0, 2, 4]> : tensor<4xi64>
  %split = onnx.Reshape(%x, %shape) : (tensor<1x4x8xf32>, tensor<4xi64>) -> tensor<1x4x2x4xf32>
  %h = onnx.Transpose(%split) {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x4x2x4xf32>) -> tensor<1x2x4x4xf32>
  %cos = onnx.Constant dense<[[[1.0, 1.0], [0.5403022766113281, 0.9950041770935059], [-0.416146844625473, 0.9800665974617004], [-0.9899924993515015, 0.9553365111351013]]]> : tensor<1x4x2xf32>
  %sin = onnx.Constant dense<[[[0.0, 0.0], [0.8414709568023682, 0.0998334214091301], [0.9092974066734314, 0.19866932928562164], [0x7FC00000, 0.29552021622657776]]]> : tensor<1x4x2xf32>
  %y = onnx.RotaryEmbedding(%h, %cos, %sin) : (tensor<1x2x4x4xf32>, tensor<1x4x2xf32>, tensor<1x4x2xf32>) -> tensor<1x2x4x4xf32>
  return %y : tensor<1x2x4x4xf32>
}

// -----

// Positions from 1.
// CHECK-LABEL: func.func @later
// CHECK-NOT: onnx.Cos
// CHECK: onnx.RotaryEmbedding(%{{.*}}) : (tensor<1x2x4x4xf32>
func.func @later(%ids: tensor<1x4xi64>, %positions: tensor<1x4xi64>, %x: tensor<1x4x8xf32>) -> tensor<1x2x4x4xf32> {
  %shape = onnx.Constant dense<[0, 0, 2, 4]> : tensor<4xi64>
  %split = onnx.Reshape(%x, %shape) : (tensor<1x4x8xf32>, tensor<4xi64>) -> tensor<1x4x2x4xf32>
  %h = onnx.Transpose(%split) {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x4x2x4xf32>) -> tensor<1x2x4x4xf32>
  %cos = onnx.Constant dense<[[[0.5403022766113281, 0.9950041770935059], [-0.416146844625473, 0.9800665974617004], [-0.9899924993515015, 0.9553365111351013], [-0.6536436080932617, 0.9210609793663025]]]> : tensor<1x4x2xf32>
  %sin = onnx.Constant dense<[[[0.8414709568023682, 0.0998334214091301], [0.9092974066734314, 0.19866932928562164], [0.14112000167369843, 0.29552021622657776], [-0.756802499294281, 0.3894183337688446]]]> : tensor<1x4x2xf32>
  %y = onnx.RotaryEmbedding(%h, %cos, %sin) : (tensor<1x2x4x4xf32>, tensor<1x4x2xf32>, tensor<1x4x2xf32>) -> tensor<1x2x4x4xf32>
  return %y : tensor<1x2x4x4xf32>
}

// -----

// The same, cut out of a longer table.
// CHECK-LABEL: func.func @cut
// CHECK-NOT: onnx.Cos
// CHECK: onnx.RotaryEmbedding(%{{.*}}) : (tensor<1x2x4x4xf32>
func.func @cut(%ids: tensor<1x4xi64>, %positions: tensor<1x4xi64>, %x: tensor<1x4x8xf32>) -> tensor<1x2x4x4xf32> {
  %shape = onnx.Constant dense<[0, 0, 2, 4]> : tensor<4xi64>
  %split = onnx.Reshape(%x, %shape) : (tensor<1x4x8xf32>, tensor<4xi64>) -> tensor<1x4x2x4xf32>
  %h = onnx.Transpose(%split) {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x4x2x4xf32>) -> tensor<1x2x4x4xf32>
  %cos = onnx.Constant dense<[[[1.0, 1.0], [0.5403022766113281, 0.9950041770935059], [-0.416146844625473, 0.9800665974617004], [-0.9899924993515015, 0.9553365111351013], [-0.6536436080932617, 0.9210609793663025], [0.28366219997406006, 0.8775825500488281], [0.9601702690124512, 0.8253356218338013], [0.7539022564888, 0.7648422122001648]]]> : tensor<1x8x2xf32>
  %sin = onnx.Constant dense<[[[0.0, 0.0], [0.8414709568023682, 0.0998334214091301], [0.9092974066734314, 0.19866932928562164], [0.14112000167369843, 0.29552021622657776], [-0.756802499294281, 0.3894183337688446], [-0.9589242935180664, 0.4794255495071411], [-0.279415488243103, 0.5646424889564514], [0.6569865942001343, 0.6442176699638367]]]> : tensor<1x8x2xf32>
  %one = onnx.Constant dense<1> : tensor<1xi64>
  %five = onnx.Constant dense<5> : tensor<1xi64>
  %cos4 = onnx.Slice(%cos, %one, %five, %one, %one) : (tensor<1x8x2xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<1x4x2xf32>
  %sin4 = onnx.Slice(%sin, %one, %five, %one, %one) : (tensor<1x8x2xf32>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>, tensor<1xi64>) -> tensor<1x4x2xf32>
  %y = onnx.RotaryEmbedding(%h, %cos4, %sin4) : (tensor<1x2x4x4xf32>, tensor<1x4x2xf32>, tensor<1x4x2xf32>) -> tensor<1x2x4x4xf32>
  return %y : tensor<1x2x4x4xf32>
}

// -----

// Rows that position_ids choose.
// CHECK-LABEL: func.func @gathered
// CHECK: onnx.Unsqueeze(%arg1,
// CHECK: %[[F:.*]] = onnx.Constant dense<[1.000000e+00, 1.000000e-01]> : tensor<2xf32>
// CHECK: %[[A:.*]] = onnx.Mul(%{{.*}}, %[[F]])
// CHECK: onnx.Cos(%[[A]])
// CHECK: onnx.RotaryEmbedding(%arg2,
func.func @gathered(%ids: tensor<1x4xi64>, %positions: tensor<1x4xi64>, %x: tensor<1x4x8xf32>) -> tensor<1x2x4x4xf32> {
  %shape = onnx.Constant dense<[0, 0, 2, 4]> : tensor<4xi64>
  %split = onnx.Reshape(%x, %shape) : (tensor<1x4x8xf32>, tensor<4xi64>) -> tensor<1x4x2x4xf32>
  %h = onnx.Transpose(%split) {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x4x2x4xf32>) -> tensor<1x2x4x4xf32>
  %cos = onnx.Constant dense<[[1.0, 1.0], [0.5403022766113281, 0.9950041770935059], [-0.416146844625473, 0.9800665974617004], [-0.9899924993515015, 0.9553365111351013], [-0.6536436080932617, 0.9210609793663025], [0.28366219997406006, 0.8775825500488281], [0.9601702690124512, 0.8253356218338013], [0.7539022564888, 0.7648422122001648]]> : tensor<8x2xf32>
  %sin = onnx.Constant dense<[[0.0, 0.0], [0.8414709568023682, 0.0998334214091301], [0.9092974066734314, 0.19866932928562164], [0.14112000167369843, 0.29552021622657776], [-0.756802499294281, 0.3894183337688446], [-0.9589242935180664, 0.4794255495071411], [-0.279415488243103, 0.5646424889564514], [0.6569865942001343, 0.6442176699638367]]> : tensor<8x2xf32>
  %cos4 = onnx.Gather(%cos, %positions) : (tensor<8x2xf32>, tensor<1x4xi64>) -> tensor<1x4x2xf32>
  %sin4 = onnx.Gather(%sin, %positions) : (tensor<8x2xf32>, tensor<1x4xi64>) -> tensor<1x4x2xf32>
  %y = onnx.RotaryEmbedding(%h, %cos4, %sin4) : (tensor<1x2x4x4xf32>, tensor<1x4x2xf32>, tensor<1x4x2xf32>) -> tensor<1x2x4x4xf32>
  return %y : tensor<1x2x4x4xf32>
}

// -----

// CHECK-LABEL: func.func @chosen
// CHECK: onnx.Unsqueeze(%arg1,
// CHECK: %[[F:.*]] = onnx.Constant dense<[1.000000e+00, 1.000000e-01]> : tensor<2xf32>
// CHECK: %[[A:.*]] = onnx.Mul(%{{.*}}, %[[F]])
// CHECK: onnx.Cos(%[[A]])
// CHECK: onnx.RotaryEmbedding(%arg2,
func.func @chosen(%ids: tensor<1x4xi64>, %positions: tensor<1x4xi64>, %x: tensor<1x4x8xf32>) -> tensor<1x2x4x4xf32> {
  %shape = onnx.Constant dense<[0, 0, 2, 4]> : tensor<4xi64>
  %split = onnx.Reshape(%x, %shape) : (tensor<1x4x8xf32>, tensor<4xi64>) -> tensor<1x4x2x4xf32>
  %h = onnx.Transpose(%split) {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x4x2x4xf32>) -> tensor<1x2x4x4xf32>
  %cos = onnx.Constant dense<[[1.0, 1.0], [0.5403022766113281, 0.9950041770935059], [-0.416146844625473, 0.9800665974617004], [-0.9899924993515015, 0.9553365111351013], [-0.6536436080932617, 0.9210609793663025], [0.28366219997406006, 0.8775825500488281], [0.9601702690124512, 0.8253356218338013], [0.7539022564888, 0.7648422122001648]]> : tensor<8x2xf32>
  %sin = onnx.Constant dense<[[0.0, 0.0], [0.8414709568023682, 0.0998334214091301], [0.9092974066734314, 0.19866932928562164], [0.14112000167369843, 0.29552021622657776], [-0.756802499294281, 0.3894183337688446], [-0.9589242935180664, 0.4794255495071411], [-0.279415488243103, 0.5646424889564514], [0.6569865942001343, 0.6442176699638367]]> : tensor<8x2xf32>
  %y = onnx.RotaryEmbedding(%h, %cos, %sin, %positions) : (tensor<1x2x4x4xf32>, tensor<8x2xf32>, tensor<8x2xf32>, tensor<1x4xi64>) -> tensor<1x2x4x4xf32>
  return %y : tensor<1x2x4x4xf32>
}

// -----

// Of longer sequences exporters evaluate no more than the angles.
// CHECK-LABEL: func.func @angles
// CHECK: %[[P:.*]] = fdpp.slot_positions %arg0
// CHECK: onnx.Unsqueeze(%[[P]],
// CHECK: %[[F:.*]] = onnx.Constant dense<[1.000000e+00, 1.000000e-01]> : tensor<2xf32>
// CHECK: %[[A:.*]] = onnx.Mul(%{{.*}}, %[[F]])
// CHECK: onnx.Cos(%[[A]])
// CHECK: onnx.RotaryEmbedding(%arg2,
func.func @angles(%ids: tensor<1x4xi64>, %positions: tensor<1x4xi64>, %x: tensor<1x4x8xf32>) -> tensor<1x2x4x4xf32> {
  %shape = onnx.Constant dense<[0, 0, 2, 4]> : tensor<4xi64>
  %split = onnx.Reshape(%x, %shape) : (tensor<1x4x8xf32>, tensor<4xi64>) -> tensor<1x4x2x4xf32>
  %h = onnx.Transpose(%split) {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x4x2x4xf32>) -> tensor<1x2x4x4xf32>
  %a = onnx.Constant dense<[[[0.0, 0.0], [1.0, 0.10000000149011612], [2.0, 0.20000000298023224], [3.0, 0.30000001192092896]]]> : tensor<1x4x2xf32>
  %cos = onnx.Cos(%a) : (tensor<1x4x2xf32>) -> tensor<1x4x2xf32>
  %sin = onnx.Sin(%a) : (tensor<1x4x2xf32>) -> tensor<1x4x2xf32>
  %y = onnx.RotaryEmbedding(%h, %cos, %sin) : (tensor<1x2x4x4xf32>, tensor<1x4x2xf32>, tensor<1x4x2xf32>) -> tensor<1x2x4x4xf32>
  return %y : tensor<1x2x4x4xf32>
}

// -----

// CHECK-LABEL: func.func @bent
// CHECK: onnx.RotaryEmbedding(%{{.*}}) : (tensor<1x2x4x4xf32>
func.func @bent(%ids: tensor<1x4xi64>, %positions: tensor<1x4xi64>, %x: tensor<1x4x8xf32>) -> tensor<1x2x4x4xf32> {
  %shape = onnx.Constant dense<[0, 0, 2, 4]> : tensor<4xi64>
  %split = onnx.Reshape(%x, %shape) : (tensor<1x4x8xf32>, tensor<4xi64>) -> tensor<1x4x2x4xf32>
  %h = onnx.Transpose(%split) {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x4x2x4xf32>) -> tensor<1x2x4x4xf32>
  %a = onnx.Constant dense<[[[0.0, 0.0], [1.0, 0.10000000149011612], [2.0, 0.20000000298023224], [3.0, 0.30000102519989014]]]> : tensor<1x4x2xf32>
  %cos = onnx.Cos(%a) : (tensor<1x4x2xf32>) -> tensor<1x4x2xf32>
  %sin = onnx.Sin(%a) : (tensor<1x4x2xf32>) -> tensor<1x4x2xf32>
  %y = onnx.RotaryEmbedding(%h, %cos, %sin) : (tensor<1x2x4x4xf32>, tensor<1x4x2xf32>, tensor<1x4x2xf32>) -> tensor<1x2x4x4xf32>
  return %y : tensor<1x2x4x4xf32>
}

// -----

// Cosines of other positions than the sines.
// CHECK-LABEL: func.func @apart
// CHECK-NOT: onnx.Cos
// CHECK: onnx.RotaryEmbedding(%{{.*}}) : (tensor<1x2x4x4xf32>
func.func @apart(%ids: tensor<1x4xi64>, %positions: tensor<1x4xi64>, %x: tensor<1x4x8xf32>) -> tensor<1x2x4x4xf32> {
  %shape = onnx.Constant dense<[0, 0, 2, 4]> : tensor<4xi64>
  %split = onnx.Reshape(%x, %shape) : (tensor<1x4x8xf32>, tensor<4xi64>) -> tensor<1x4x2x4xf32>
  %h = onnx.Transpose(%split) {perm = array<i64: 0, 2, 1, 3>} : (tensor<1x4x2x4xf32>) -> tensor<1x2x4x4xf32>
  %cos = onnx.Constant dense<[[1.0, 1.0], [0.5403022766113281, 0.9950041770935059], [-0.416146844625473, 0.9800665974617004], [-0.9899924993515015, 0.9553365111351013], [-0.6536436080932617, 0.9210609793663025], [0.28366219997406006, 0.8775825500488281], [0.9601702690124512, 0.8253356218338013], [0.7539022564888, 0.7648422122001648]]> : tensor<8x2xf32>
  %sin = onnx.Constant dense<[[0.0, 0.0], [0.8414709568023682, 0.0998334214091301], [0.9092974066734314, 0.19866932928562164], [0.14112000167369843, 0.29552021622657776], [-0.756802499294281, 0.3894183337688446], [-0.9589242935180664, 0.4794255495071411], [-0.279415488243103, 0.5646424889564514], [0.6569865942001343, 0.6442176699638367]]> : tensor<8x2xf32>
  %cos4 = onnx.Gather(%cos, %positions) : (tensor<8x2xf32>, tensor<1x4xi64>) -> tensor<1x4x2xf32>
  %sin4 = onnx.Gather(%sin, %ids) : (tensor<8x2xf32>, tensor<1x4xi64>) -> tensor<1x4x2xf32>
  %y = onnx.RotaryEmbedding(%h, %cos4, %sin4) : (tensor<1x2x4x4xf32>, tensor<1x4x2xf32>, tensor<1x4x2xf32>) -> tensor<1x2x4x4xf32>
  return %y : tensor<1x2x4x4xf32>
}
